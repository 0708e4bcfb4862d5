"""What each picture is called: one main caption and the other ways to say the same."""

import hashlib
import random

from emoji.concepts import Concept
from emoji.words import OTHER_SPELLINGS, PREFIXES, STYLES, Country

TAG_ORDERS = 3
MOST_TAGS = 4


def stable_seed(*words: str) -> int:
    """A number that depends on the words alone: the same in every run and on every machine."""
    return int.from_bytes(hashlib.sha256("|".join(words).encode()).digest()[:8], "big")


def article(word: str) -> str:
    """`a` or `an` before a colour or shape word; the first letter is enough to tell."""
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def bare(phrase: str) -> str:
    """The phrase without its leading article."""
    first, _, rest = phrase.partition(" ")
    return rest if first in {"a", "an", "the", "some"} and rest else phrase


def _spellings(colour: str) -> list[str]:
    return [colour, *filter(None, [OTHER_SPELLINGS.get(colour)])]


def _unique(texts: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def styled(texts: tuple[str, ...], style: str) -> tuple[str, ...]:
    """Captions of a picture in a style, from captions that name none.

    The main caption names every style but the first, so that a caption without a style mostly
    means that one. About a third of the captions of other styles name no style.
    """
    named = [f"{text}, {style} style" for text in texts]
    named += [f"{text} in {style} style" for text in texts[:4]]
    if style == STYLES[0]:
        return _unique([*texts, *named[: len(named) // 2]])
    return _unique([*named, *texts[: len(named) // 2]])


def count(concept: Concept, number: str) -> tuple[str, ...]:
    """Captions of two, three or four of a thing."""
    things = f"{number} {concept.plural}"
    return _unique([things, *(f"{prefix.split(' of')[0]} of {things}" for prefix in PREFIXES[:3])])


def corner(concept: Concept, where: str) -> tuple[str, ...]:
    """Captions of a small drawing in a corner of the picture."""
    small = [article(f"small {bare(phrase)}") for phrase in concept.phrases[:2]]
    texts = [f"{thing} in the {where} corner" for thing in small]
    return _unique([*texts, f"{concept.phrases[0]} in the {where} corner", f"{where}: {small[0]}"])


def pair(first: Concept, second: Concept, relation: str) -> tuple[str, ...]:
    """Captions of two things, the first to the left of the second or above it."""
    a, b = first.phrases[0], second.phrases[0]
    turned = {"to the left of": "to the right of", "above": "below"}[relation]
    texts = [f"{a} {relation} {b}", f"{b} {turned} {a}"]
    return _unique([*texts, *(f"a picture of {text}" for text in texts)])


def plain(concept: Concept, tags: tuple[str, ...]) -> tuple[str, ...]:
    """Captions of a concept's glyph on white; the first is the main one."""
    phrases = concept.phrases
    texts = [*phrases, *map(bare, phrases)]
    texts += [f"{prefix} {phrase}" for phrase in phrases[:2] for prefix in PREFIXES]
    texts += [f"{bare(phrase)} emoji" for phrase in phrases[:2]]
    order = random.Random(stable_seed("tags", concept.glyph))
    for _ in range(TAG_ORDERS if tags else 0):
        chosen = order.sample(tags, min(MOST_TAGS, len(tags)))
        texts.append(", ".join([bare(phrases[0]), *chosen]))
    return _unique(texts)


def background(concept: Concept, colour: str) -> tuple[str, ...]:
    """Captions of a concept's glyph on a coloured background."""
    texts = []
    for spelling in _spellings(colour):
        where = f"on {article(spelling)} background"
        texts += [f"{phrase} {where}" for phrase in concept.phrases]
        texts += [f"{prefix} {concept.phrases[0]} {where}" for prefix in PREFIXES[:3]]
        texts += [
            f"{concept.phrases[0]} with {article(spelling)} background",
            f"{bare(concept.phrases[0])}, {spelling} background",
        ]
    return _unique(texts)


def _coloured(colour: str, nouns: list[str], ground: str) -> tuple[str, ...]:
    """`a red circle on a blue background` and its variants; a white ground is not mentioned."""
    texts = []
    for spelling in _spellings(colour):
        for ground_spelling in _spellings(ground):
            where = "" if ground == "white" else f" on {article(ground_spelling)} background"
            things = [f"{article(spelling)} {noun}{where}" for noun in nouns]
            texts += [*things, f"a picture of {things[0]}", f"a drawing of {things[0]}"]
            texts.append(bare(things[0]))
    return _unique(texts)


def silhouette(concept: Concept, colour: str, ground: str) -> tuple[str, ...]:
    """Captions of a one-colour silhouette, always called an icon or a silhouette."""
    return _coloured(colour, [f"{concept.noun} icon", f"{concept.noun} silhouette"], ground)


def shape(name: str, colour: str, ground: str) -> tuple[str, ...]:
    """Captions of a geometric shape."""
    return _coloured(colour, [name], ground)


def flag(country: Country) -> tuple[str, ...]:
    """Captions of a rectangular flag."""
    name, adjective = country.name, country.adjective
    main = f"flag of {name}"
    texts = [main, f"the {main}", f"a {main}", f"the {adjective} flag", f"{adjective} flag"]
    return _unique([*texts, f"{bare(name)} flag", f"a picture of the {main}"])


def round_flag(country: Country) -> tuple[str, ...]:
    """Captions of a flag in a disc."""
    main = f"round flag of {country.name}"
    texts = [main, f"a {main}", f"a round {country.adjective} flag"]
    return _unique([*texts, f"round {country.adjective} flag", f"an icon of the {main}"])
