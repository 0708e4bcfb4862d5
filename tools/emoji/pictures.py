"""The list of pictures of the data set: what each shows, its captions, and its split."""

import random
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

from emoji import captions
from emoji.words import COLOURS, COUNTRIES, SHAPES, Concept

STYLE = "noto"
HELD_OUT_PERCENT = 6
GROUNDS_PER_SILHOUETTE = 25


class Picture(NamedTuple):
    """One picture to draw: the fields of its line in metadata.jsonl, and its split."""

    split: str
    template: str
    object: str
    background: str
    colour: str | None
    captions: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """Unique within the data set, legible, the same in every build."""
        words = [self.template, self.object, self.colour or "", self.background]
        plain = [re.sub("[ -]", "_", word) for word in words if word]
        return "-".join(quote(word, safe="") for word in plain) + ".png"

    def metadata(self) -> dict:
        """The line of metadata.jsonl, in the image-folder convention of the Hub."""
        return {
            "file_name": self.file_name,
            "text": self.captions[0],
            "texts": list(self.captions[1:]),
            "template": self.template,
            "object": self.object,
            "background": self.background,
            "colour": self.colour,
            "style": STYLE,
        }


def split_of(kind: str, thing: str, colour: str) -> str:
    """`heldout` for about 6% of the (thing, colour) pairs of a kind, else `train`.

    A pair that is held out is never trained on, so drawing it means having composed it.
    """
    held = captions.stable_seed("held out", kind, thing, colour) % 100 < HELD_OUT_PERCENT
    return "heldout" if held else "train"


def _plain(concept: Concept, tags: tuple[str, ...]) -> Iterator[Picture]:
    name = concept.glyph
    yield Picture("train", "plain", name, "white", None, captions.plain(concept, tags))
    for colour in COLOURS:
        split = "train" if colour == "white" else split_of("background", name, colour)
        texts = captions.background(concept, colour)
        yield Picture(split, "background", name, colour, None, texts)


def _silhouettes(concept: Concept) -> Iterator[Picture]:
    """Every colour on white, and a fixed sample of the other pairs of colour and background."""
    pairs = [(colour, ground) for colour in COLOURS for ground in COLOURS if colour != ground]
    on_white = [pair for pair in pairs if pair[1] == "white"]
    others = [pair for pair in pairs if pair[1] != "white"]
    choice = random.Random(captions.stable_seed("silhouettes", concept.glyph))
    for colour, ground in on_white + choice.sample(others, GROUNDS_PER_SILHOUETTE):
        split = split_of("silhouette", concept.glyph, colour)
        texts = captions.silhouette(concept, colour, ground)
        yield Picture(split, "silhouette", concept.glyph, ground, colour, texts)


def of_concept(concept: Concept, tags: tuple[str, ...]) -> list[Picture]:
    """The concept's glyph on every background and its silhouettes."""
    return [*_plain(concept, tags), *_silhouettes(concept)]


def of_shapes() -> list[Picture]:
    """Every shape in every colour on every other colour."""
    return [
        Picture(
            split_of("shape", shape, colour),
            "shape",
            shape,
            ground,
            colour,
            captions.shape(shape, colour, ground),
        )
        for shape in SHAPES
        for colour in COLOURS
        for ground in COLOURS
        if colour != ground
    ]


def of_flags() -> list[tuple[str, Picture]]:
    """(ISO code, picture) of the rectangular and the round flag of every country."""
    found = []
    for country in COUNTRIES:
        for texts in (captions.flag(country), captions.round_flag(country)):
            picture = Picture("train", "flag", texts[0], "white", None, texts)
            found.append((country.code, picture))
    return found
