"""The bank of texts of an image: each text that a branch sees in some row, once."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxsd.settings.adapters import without_tags
from jaxsd.settings.inverting import rows_there
from jaxsd.settings.options import Settings
from jaxsd.text.chunks import Chunks, chunks_of, divided, first_chunk, lengthened
from jaxsd.text.prompts import AND, Part, Span, edited, parts_of, spans_of
from jaxsd.text.tokenizer import Tokenizer

MOST_TEXTS = 256
"""Of an image; more come from alternations of many lengths."""
MOST_CHUNKS = 32
"""Of a call; see `common_chunks`."""


class Entry(NamedTuple):
    """A text of the bank."""

    text: str
    spans: tuple[Span, ...]
    is_negative: bool
    sees: bool = True  # whether its branch sees the picture that a model changes
    toward: int | None = None  # number of the entry that is mixed into it


class Bank(NamedTuple):
    """The texts of an image."""

    entries: tuple[Entry, ...]
    which: np.ndarray  # [S, K] int32, number of the entry that a branch sees in a row
    weights: tuple[float, ...]  # of the parts of the prompt

    @property
    def is_weighted(self) -> bool:
        """Whether a token has another weight than 1."""
        return any(span.weight != 1 for entry in self.entries for span in entry.spans)

    @property
    def weakened(self) -> list[tuple[int, int]]:
        """Entry and span of each weight below 1."""
        return [
            (number, i)
            for number, entry in enumerate(self.entries)
            for i, span in enumerate(entry.spans)
            if span.weight < 1 and span.text.strip()
        ]


def composes(settings: Settings) -> bool:
    """Whether the prompt has parts, joined by `AND`; regions are no such parts."""
    return settings.prompt_weights != "none" and AND.search(settings.prompt) is not None


def is_shown(settings: Settings) -> bool:
    """Whether an image has guidance by a picture: a branch more, which does not see it."""
    guided = settings.guidance_scale > 1 or composes(settings)
    return guided and settings.image_guidance_scale != 1


def bank_of(settings: Settings, rows: int, *, guided: bool) -> Bank:
    """The bank of an image.

    Args:
      settings: checked ones.
      rows: of its table; the first ones see `source_prompt` alone, where there is one.
      guided: whether branch 0 sees the negative prompt. With guidance by a picture branch 1 does
        too, and that picture.

    Raises:
      ValueError: a prompt whose brackets, weights or number of texts are not allowed.
    """
    before = rows_there(settings, rows)
    rows -= before
    prompt, negative = (without_tags(t)[0] for t in (settings.prompt, settings.negative_prompt))
    if settings.prompt_weights == "none":
        parts_in, rows_of = lambda text: [Part(text, 1.0)], lambda text: [text] * rows
    else:
        parts_in, rows_of = parts_of, lambda text: edited(text, rows)
    parts, goals = _toward(settings, parts_in(prompt), parts_in)
    parts += [Part(region.text, 1.0) for region in settings.region]
    goals += [None] * len(settings.region)
    negative = rows_of(negative) if guided else []
    first, columns = _numbered([negative] if guided else [], 0)
    blind = len(first) if guided and is_shown(settings) else 0
    if blind:
        columns += [[number + blind for number in columns[0]]]
        first = first * 2
    pairs = [
        list(zip(rows_of(part.text), [None] * rows if goal is None else rows_of(goal), strict=True))
        for part, goal in zip(parts, goals, strict=True)
    ]
    later, others = _numbered(pairs, len(first))
    mixed = list(dict.fromkeys(goal for _, goal in later if goal is not None))
    if (count := len(first) + len(later) + len(mixed)) > MOST_TEXTS:
        raise ValueError(
            f"the edits of a prompt make {count} texts; at most {MOST_TEXTS} are possible for an "
            "image"
        )
    place = {goal: number for number, goal in enumerate(mixed, len(first) + len(later))}
    texts = [(text, True, None) for text in first]
    texts += [(text, False, place.get(goal)) for text, goal in later]
    texts += [(text, False, None) for text in mixed]
    texts += [(settings.source_prompt, False, None)] * bool(before)
    entries = [
        Entry(text, _spans(settings, text), is_negative, number >= blind, toward)
        for number, (text, is_negative, toward) in enumerate(texts)
    ]
    which = np.array([*columns, *others], np.int32).T
    which = np.pad(which, ((before, 0), (0, 0)), constant_values=len(entries) - 1)
    return Bank(tuple(entries), which, tuple(part.weight for part in parts))


def texts_in(banks: Sequence[Bank]) -> int:
    """Number of texts of a call: 1, 2, 4, 8, ..., so that few programs are needed."""
    return power_of_two(max(len(bank.entries) for bank in banks))


def helpers_in(banks: Sequence[Bank], kind: str) -> int:
    """Number of texts that no branch sees: those that weights interpolate from.

    The last is the empty prompt. For compel's weights, texts without a word come before it.
    """
    if kind not in ("comfy", "compel") or not any(bank.is_weighted for bank in banks):
        return 0
    more = max(len(bank.weakened) for bank in banks) if kind == "compel" else 0
    return power_of_two(more + 1)


def power_of_two(count: int) -> int:
    """The next one, from `count` on."""
    return 1 << (count - 1).bit_length()


def chunks_in(bank: Bank, tokenizers: Sequence[Tokenizer], kind: str) -> list[list[Chunks]]:
    """The chunks of each entry for each text encoder, for all of those equally many."""
    found = []
    for entry in bank.entries:
        if kind == "none":
            found.append([first_chunk(entry.text, tokenizer) for tokenizer in tokenizers])
            continue
        own = [chunks_of(entry.spans, tokenizer) for tokenizer in tokenizers]
        most = max(len(chunks.ids) for chunks in own)
        pairs = zip(own, tokenizers, strict=True)
        found.append([lengthened(chunks, most, tokenizer) for chunks, tokenizer in pairs])
    return found


def chunk_counts(bank: Bank, tokenizers: Sequence[Tokenizer], kind: str) -> list[int]:
    """How many chunks each entry has."""
    if kind == "none":
        return [1]
    return [
        max(len(divided(entry.spans, tokenizer)) for tokenizer in tokenizers)
        for entry in bank.entries
    ]


def common_chunks(counts: Iterable[int]) -> int:
    """The number of chunks in which texts of these numbers share a call: each divides it.

    Raises:
      ValueError: there are too many.
    """
    counts = sorted(set(counts))
    if (common := math.lcm(*counts)) > MOST_CHUNKS:
        raise ValueError(
            f"texts of {' and '.join(map(str, counts))} chunks need {common} in a call, and at "
            f"most {MOST_CHUNKS} are possible; shorten the prompts, or end chunks by BREAK"
        )
    return common


def _toward(
    settings: Settings, parts: list[Part], parts_in: Callable[[str], list[Part]]
) -> tuple[list[Part], list[str | None]]:
    """The parts of the prompt with mixed weights, and the texts that are mixed into theirs."""
    if not settings.blend_prompt:
        return parts, [None] * len(parts)
    others, share = parts_in(settings.blend_prompt), settings.blend_strength
    if len(others) != len(parts):
        raise ValueError(
            f"blend_prompt has {len(others)} parts joined by AND, and the prompt {len(parts)}; "
            "give as many"
        )
    both = list(zip(parts, others, strict=True))
    weights = [(1 - share) * one.weight + share * other.weight for one, other in both]
    mixed = [Part(one.text, weight) for one, weight in zip(parts, weights, strict=True)]
    return mixed, [other.text for other in others]


def _spans(settings: Settings, text: str) -> tuple[Span, ...]:
    return (Span(text),) if settings.prompt_weights == "none" else tuple(spans_of(text))


def _numbered(
    columns: Sequence[Sequence[Hashable]], first: int
) -> tuple[list[Any], list[list[int]]]:
    """What differs in columns, in order, and the columns as numbers of it from `first` on."""
    numbers: dict[Hashable, int] = {}
    found = [[numbers.setdefault(text, first + len(numbers)) for text in own] for own in columns]
    return list(numbers), found
