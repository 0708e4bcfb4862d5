"""The list of pictures of the data set: what each shows, its captions, and its split."""

import random
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote

from emoji import captions
from emoji.concepts import Concept
from emoji.words import COLOURS, CORNERS, COUNTRIES, COUNTS, RELATIONS, SHAPES, STYLES

HELD_OUT_PERCENT = 6
GROUNDS_PER_SILHOUETTE = 9
GROUNDS_PER_OTHER_STYLE = 4
PARTNERS = 4
"""Partners of each concept in each relation, where the concept is the first of the two."""


class Picture(NamedTuple):
    """One picture to draw: the fields of its line in metadata.jsonl, and its split."""

    split: str
    template: str
    object: str
    style: str
    background: str = "white"
    colour: str | None = None
    layout: str | None = None  # a key of compose.SLOTS; of a flag, "rectangular" or "round"
    other: str | None = None  # the second object of a pair
    captions: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """Unique within the data set, legible, the same in every build."""
        words = [self.template, self.object, self.layout, self.other, self.colour]
        words += [self.background, self.style]
        plain = [re.sub("[ -]", "_", word) for word in words if word]
        return "-".join(quote(word, safe="") for word in plain) + ".png"

    def metadata(self) -> dict:
        """The line of metadata.jsonl, in the image-folder convention of the Hub."""
        texts = {"text": self.captions[0], "texts": list(self.captions[1:])}
        fields = {k: v for k, v in self._asdict().items() if k not in ("split", "captions")}
        return {"file_name": self.file_name} | texts | fields


def split_of(kind: str, thing: str, other: str) -> str:
    """`heldout` for about 6% of the pairs of a kind (thing and colour, say), else `train`.

    A pair that is held out is never trained on: to draw it, the model has to combine its parts.
    """
    held = captions.stable_seed("held out", kind, thing, other) % 100 < HELD_OUT_PERCENT
    return "heldout" if held else "train"


def _chosen(concept: Concept, what: str) -> random.Random:
    return random.Random(captions.stable_seed(what, concept.glyph))


def _plain(concept: Concept, tags: tuple[str, ...], style: str) -> Iterator[Picture]:
    """On white and on coloured backgrounds; in the first style, on all of them."""
    texts = captions.styled(captions.plain(concept, tags), style)
    yield Picture("train", "plain", concept.glyph, style, captions=texts)
    grounds = list(COLOURS)
    if style != STYLES[0]:
        grounds = _chosen(concept, f"grounds {style}").sample(grounds, GROUNDS_PER_OTHER_STYLE)
    for ground in grounds:
        split = "train"
        if ground != "white":
            split = split_of("background", concept.glyph, ground)
        texts = captions.styled(captions.background(concept, ground), style)
        yield Picture(split, "background", concept.glyph, style, ground, captions=texts)


def _silhouettes(concept: Concept) -> Iterator[Picture]:
    """Every colour on white, and a fixed sample of the other pairs of colour and background."""
    pairs = [(colour, ground) for colour in COLOURS for ground in COLOURS if colour != ground]
    on_white = [pair for pair in pairs if pair[1] == "white"]
    others = [pair for pair in pairs if pair[1] != "white"]
    some = _chosen(concept, "silhouettes").sample(others, GROUNDS_PER_SILHOUETTE)
    for colour, ground in on_white + some:
        split = split_of("silhouette", concept.glyph, colour)
        texts = captions.silhouette(concept, colour, ground)
        yield Picture(split, "silhouette", concept.glyph, "icon", ground, colour, captions=texts)


def _counts(concept: Concept, style: str) -> Iterator[Picture]:
    for number in COUNTS if concept.countable else ():
        split = split_of("count", concept.glyph, number)
        texts = captions.styled(captions.count(concept, number), style)
        yield Picture(split, "count", concept.glyph, style, layout=number, captions=texts)


def _corners(concept: Concept, style: str) -> Iterator[Picture]:
    for corner in CORNERS:
        split = split_of("corner", concept.glyph, corner)
        texts = captions.styled(captions.corner(concept, corner), style)
        yield Picture(split, "corner", concept.glyph, style, layout=corner, captions=texts)


def pairs_of(concept: Concept, concepts: Sequence[Concept]) -> Iterator[Picture]:
    """The concept to the left of some others, and above some, in the first style."""
    others = [other for other in concepts if other.glyph != concept.glyph]
    for relation in RELATIONS:
        choice = _chosen(concept, relation)
        for other in choice.sample(others, min(PARTNERS, len(others))):
            split = split_of("pair", concept.glyph, other.glyph)
            texts = captions.styled(captions.pair(concept, other, relation), STYLES[0])
            yield Picture(
                *(split, "pair", concept.glyph, STYLES[0]),
                layout=relation,
                other=other.glyph,
                captions=texts,
            )


def of_concept(concept: Concept, tags: tuple[str, ...]) -> list[Picture]:
    """The concept's glyphs on backgrounds, its silhouettes, several of it, and it in corners."""
    listed = [*_silhouettes(concept), *_corners(concept, STYLES[0])]
    for style in STYLES:
        listed += [*_plain(concept, tags, style), *_counts(concept, style)]
    return listed


def of_shapes() -> list[Picture]:
    """Every shape in every colour on every other colour."""
    return [
        Picture(
            *(split_of("shape", shape, colour), "shape", shape, "icon", ground, colour),
            captions=captions.shape(shape, colour, ground),
        )
        for shape in SHAPES
        for colour in COLOURS
        for ground in COLOURS
        if colour != ground
    ]


def of_flags() -> list[tuple[str, Picture]]:
    """(ISO code, picture) of the rectangular and the round flag of every country.

    Of some countries one of the two is held out, never both.
    """
    found = []
    for country in COUNTRIES:
        texts = {"rectangular": captions.flag(country), "round": captions.round_flag(country)}
        held = [layout for layout in texts if split_of("flag", country.code, layout) == "heldout"]
        for layout, said in texts.items():
            split = "heldout" if layout in held[:1] else "train"
            picture = Picture(split, "flag", country.name, "flag", layout=layout, captions=said)
            found.append((country.code, picture))
    return found
