"""Texts of any length as chunks of tokens, each as long as a text encoder reads: webui's rule."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxsd.text.prompts import Span
from jaxsd.text.tokenizer import Tokenizer

BACKTRACK = 20
"""A chunk ends at a comma rather than within one of so many tokens before its end."""


class Chunks(NamedTuple):
    """A text for one text encoder."""

    ids: np.ndarray  # [P, L] int32, each row with its `BOS`, `EOS` and padding
    weight: np.ndarray  # [P, L] float32, 1 for tokens that are not of the text
    span: np.ndarray  # [P, L] int32, number of a token's span, -1 for those


def chunks_of(spans: Sequence[Span], tokenizer: Tokenizer) -> Chunks:
    """The chunks of a text: full ones, and what `BREAK` ended earlier."""
    return _framed(divided(spans, tokenizer), spans, tokenizer)


def divided(spans: Sequence[Span], tokenizer: Tokenizer) -> list[list[tuple[int, int]]]:
    """The chunks of a text as their tokens, each with the number of its span. At least one."""
    room, sign = tokenizer.max_length - 2, tokenizer.comma
    words = tokenizer.encode([span.text for span in spans])
    chunks: list[list[tuple[int, int]]] = [[]]
    comma = -1
    for number, span in enumerate(spans):
        if span.breaks:
            chunks.append([])
            comma = -1
        for token in words[number]:
            if token == sign:
                comma = len(chunks[-1])
            elif len(chunks[-1]) == room and comma >= 0 and room - comma <= BACKTRACK:
                chunks[-1:] = [chunks[-1][: comma + 1], chunks[-1][comma + 1 :]]
                comma = -1
            if len(chunks[-1]) == room:
                chunks.append([])
                comma = -1
            chunks[-1].append((token, number))
    if len(chunks) > 1 and not chunks[-1]:  # BREAK was the end
        chunks.pop()
    return chunks


def first_chunk(text: str, tokenizer: Tokenizer) -> Chunks:
    """The text without grammar, cut where the text encoder ends."""
    ids = tokenizer([text])
    return Chunks(ids, np.ones(ids.shape, np.float32), np.full(ids.shape, -1, np.int32))


def repeated(chunks: Chunks, count: int) -> Chunks:
    """The chunks again and again, `count` in all, a multiple of their number.

    Attention to keys and values that all occur equally often is attention to each of them once.
    So texts of different lengths share a call, and each keeps its own result.
    """
    times = count // len(chunks.ids)
    return Chunks(*(np.tile(field, (times, 1)) for field in chunks))


def lengthened(chunks: Chunks, count: int, tokenizer: Tokenizer) -> Chunks:
    """The chunks with empty ones behind them, `count` in all."""
    if count == len(chunks.ids):
        return chunks
    empty = _framed([[]] * (count - len(chunks.ids)), (), tokenizer)
    return Chunks(*(np.concatenate(fields) for fields in zip(chunks, empty, strict=True)))


def _framed(
    chunks: Sequence[Sequence[tuple[int, int]]], spans: Sequence[Span], tokenizer: Tokenizer
) -> Chunks:
    ids = tokenizer.framed([[token for token, _ in chunk] for chunk in chunks])
    weight, number = np.ones(ids.shape, np.float32), np.full(ids.shape, -1, np.int32)
    for row, chunk in enumerate(chunks):
        number[row, 1 : len(chunk) + 1] = [span for _, span in chunk]
        weight[row, 1 : len(chunk) + 1] = [spans[span].weight for _, span in chunk]
    return Chunks(ids, weight, number)
