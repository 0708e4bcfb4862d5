r"""webui's grammar of prompts: `AND`, `BREAK`, weights, editing and alternation.

A prompt is read in three steps, each a function here. `parts_of` splits it at `AND`. `edited` gives
the text of each row: `[a:b:0.4]` is a, then b; `[a|b]` is a and b in turn. `spans_of` reads the
weights of such a text: `(a:1.2)`, `(a)` for 1.1, `[a]` for 1 / 1.1, within each other multiplied.
`\(` is a bracket that means nothing, any other `\` is left out. What fits no rule is text.
"""

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

AND = re.compile(r"\bAND\b")
BREAK = re.compile(r"\s*\bBREAK\b\s*")
ROUND = 1.1
"""Weight of round brackets; square ones have 1 / 1.1."""
LARGEST_WEIGHT = 1000
DEEPEST = 50
"""Brackets of a kind within each other, those that are not closed too."""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_PART = re.compile(rf"(.*?)(?:\s*:\s*({_NUMBER}))?\s*", re.DOTALL)
_PIECE = re.compile(r"\\.|[\[\]():|]|[^\\\[\]():|]+|\\", re.DOTALL)
_SIGN = re.compile(r"\\[()\[\]\\]?|[(\[)\]]|:\s*([+-]?[.\d]+)\s*\)|[^\\()\[\]:]+|:")


class Part(NamedTuple):
    """One of the texts that `AND` joins."""

    text: str
    weight: float


class Span(NamedTuple):
    """A piece of a text; a new chunk of tokens begins where `breaks` says so."""

    text: str
    weight: float = 1.0
    breaks: bool = False  # BREAK stood before it


class Edit(NamedTuple):
    """Texts of which each row has one: in turn, or the second from a row on."""

    options: tuple[tuple["str | Edit", ...], ...]
    when: str | None  # None for taking turns


def parts_of(prompt: str) -> list[Part]:
    """The parts of a prompt: `a cat :1.2 AND a dog` is two, of weights 1.2 and 1.

    Without `AND` it is one part, in which a number at the end is text.

    Raises:
      ValueError: a weight that is out of range.
    """
    texts = AND.split(prompt)
    if len(texts) == 1:
        return [Part(prompt, 1.0)]
    found = [_PART.fullmatch(text) for text in texts]
    return [Part(one[1].lstrip(), _weight(one[2] or "1")) for one in found]


def edited(text: str, rows: int) -> list[str]:
    """The text in each of `rows` rows.

    A number with a point is a share of the rows, one without is a number of rows: `[a:b:0.4]` and
    `[a:b:8]` are a in the first 8 of 20. `[a:8]` is nothing and then a, `[a::8]` a and then
    nothing.

    Raises:
      ValueError: brackets that are too deep.
    """
    if "[" not in text:
        return [text] * rows
    pieces = _PIECE.findall(text)
    nodes = tuple(_nodes(pieces, _pairs(pieces), 0, len(pieces)))
    return ["".join(_at(nodes, row, rows)) for row in range(rows)]


def spans_of(text: str) -> list[Span]:
    """The pieces of a text with their weights, as webui's parser has them. At least one.

    Brackets that are not closed count up to the end of the text.

    Raises:
      ValueError: a weight, or a product of them, that is no number or out of range; too many
        brackets in each other.
    """
    spans: list[Span] = []
    weights: list[float] = []  # of the spans
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def scale(bracket: str, by: float) -> None:
        first = opened[bracket].pop()
        weights[first:] = [one * by for one in weights[first:]]

    for found in _SIGN.finditer(text):
        sign, number = found[0], found[1]
        weights += [1.0] * (len(spans) - len(weights))
        if sign in opened:
            opened[sign].append(len(spans))
            if len(opened[sign]) > DEEPEST:
                raise ValueError(f"a prompt has more than {DEEPEST} {sign!r} in each other")
        elif number and opened["("]:
            scale("(", _weight(number))
        elif sign == ")" and opened["("]:
            scale("(", ROUND)
        elif sign == "]" and opened["["]:
            scale("[", 1 / ROUND)
        elif sign[0] == "\\":
            spans.append(Span(sign[1:]))
        else:
            first, *rest = BREAK.split(sign)
            spans += [Span(first), *(Span(one, breaks=True) for one in rest)]
    weights += [1.0] * (len(spans) - len(weights))
    for bracket, by in (("(", ROUND), ("[", 1 / ROUND)):
        while opened[bracket]:
            scale(bracket, by)
    for weight in weights:
        _check_weight(weight, f"{weight:g}")
    weighted = zip(spans, weights, strict=True)
    return _merged([one._replace(weight=weight) for one, weight in weighted])


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Neighbours of one weight are one span, so that their words are not cut in pieces."""
    merged = [Span("")]
    for span in spans:
        last = merged[-1]
        if span.breaks or (span.weight != last.weight and last.text):
            merged.append(span)
        elif span.text:
            merged[-1] = Span(last.text + span.text, span.weight, last.breaks)
    return merged


def _weight(number: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        raise ValueError(f"the weight {number!r} in a prompt is not a number") from None
    _check_weight(weight, number[:20])
    return weight


def _check_weight(weight: float, shown: str) -> None:
    if not abs(weight) <= LARGEST_WEIGHT:
        allowed = f"allowed is -{LARGEST_WEIGHT} to {LARGEST_WEIGHT}"
        raise ValueError(f"the weight {shown} in a prompt is out of range; {allowed}")


def _pairs(pieces: Sequence[str]) -> dict[int, int]:
    """Place of each opening bracket -> place of its own closing one."""
    stack: list[int] = []
    pairs, deep = {}, 0
    for place, piece in enumerate(pieces):
        if piece in ("(", "["):
            stack.append(place)
            deep += piece == "["
            if deep > DEEPEST:
                raise ValueError(f"a prompt has more than {DEEPEST} square brackets in each other")
        elif piece in (")", "]") and stack and pieces[stack[-1]] == {")": "(", "]": "["}[piece]:
            deep -= piece == "]"
            pairs[stack.pop()] = place
    return pairs


def _nodes(
    pieces: Sequence[str], pairs: dict[int, int], place: int, end: int
) -> Iterator[str | Edit]:
    while place < end:
        close = pairs.get(place) if pieces[place] == "[" else None
        edit = None if close is None else _edit(pieces, pairs, place + 1, close)
        yield pieces[place] if edit is None else edit
        place = place + 1 if edit is None else close + 1


def _edit(pieces: Sequence[str], pairs: dict[int, int], first: int, end: int) -> Edit | None:
    """What stands in square brackets as an edit; None if it is none."""
    bars, place = [], first
    while place < end:
        if pieces[place] in (":", "|"):
            bars.append(place)
        place = pairs.get(place, place) + 1
    kinds = {pieces[bar] for bar in bars}
    if len(kinds) != 1:
        return None
    edges = [first - 1, *bars, end]
    options = [
        tuple(_nodes(pieces, pairs, start + 1, stop)) for start, stop in itertools.pairwise(edges)
    ]
    if kinds == {"|"}:
        return Edit(tuple(options), None)
    number = "".join(pieces[edges[-2] + 1 : end]).strip()
    if len(options) > 3 or not re.fullmatch(_NUMBER, number):
        return None
    return Edit(((), *options[:-1])[-2:], number)


def _at(nodes: Sequence[str | Edit], row: int, rows: int) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
            continue
        if node.when is None:
            number = row % len(node.options)
        else:
            share = float(node.when) * rows if "." in node.when else float(node.when)
            number = int(row >= math.trunc(min(share, rows)))
        yield from _at(node.options[number], row, rows)
