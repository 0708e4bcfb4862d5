r"""ComfyUI's grammar of prompts, and its chunks of tokens.

`(text)` has weight 1.1 times that around it, `(text:1.3)` has 1.3 whatever is around it; `\(` and
`\)` are brackets that mean nothing. Nothing else is grammar. A piece of one weight that is shorter
than eight tokens is not cut at the end of a chunk.
"""

import re
from collections.abc import Iterator, Mapping

import numpy as np

from jaxsd.settings.bank import MOST_CHUNKS
from jaxsd.text import Tokenizer
from jaxsd.text.prompts import DEEPEST

CUT_FROM = 8
"""Tokens of a piece from which on it may be cut."""
EMBEDDING = re.compile(r"(?:^|(?<=\s))embedding:(\S+)")
_ESCAPED = {"\\(": "\0", "\\)": "\1"}


def weighted(text: str) -> list[tuple[str, float]]:
    """The pieces of a prompt with their weights."""
    for sign, stand_in in _ESCAPED.items():
        text = text.replace(sign, stand_in)
    pieces = list(_weighted(text, 1.0, 0))
    return [(one.replace("\0", "(").replace("\1", ")"), weight) for one, weight in pieces]


def _weighted(text: str, weight: float, depth: int) -> Iterator[tuple[str, float]]:
    if depth > DEEPEST:
        raise ValueError(f"a prompt has more than {DEEPEST} brackets in each other")
    for piece in _parts(text):
        if len(piece) < 2 or piece[0] != "(" or piece[-1] != ")":
            yield piece, weight
            continue
        inside, own = piece[1:-1], weight * 1.1
        start, colon, number = inside.rpartition(":")
        if colon and start:
            try:
                inside, own = start, float(number)
            except ValueError:
                inside = piece[1:-1]
        if not np.isfinite(own):
            raise ValueError(f"the weight {number[:20]!r} in a prompt is not a number")
        yield from _weighted(inside, own, depth + 1)


def _parts(text: str) -> Iterator[str]:
    """The text divided at its outermost brackets, which stay at the ends of their parts."""
    start = depth = 0
    for place, sign in enumerate(text):
        if sign == "(":
            if depth == 0 and place > start:
                yield text[start:place]
                start = place
            depth += 1
        elif sign == ")":
            depth -= 1
            if depth == 0:
                yield text[start : place + 1]
                start = place + 1
    if start < len(text):
        yield text[start:]


def embeddings_in(text: str) -> list[str]:
    """The names of embeddings in a prompt, `embedding:NAME`."""
    pieces = (piece for piece, _ in weighted(text))
    return [name.rstrip(",") for piece in pieces for name in EMBEDDING.findall(piece)]


def chunks(
    text: str, tokenizer: Tokenizer, words: Mapping[str, str], without: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Ids [P, L] int32 and weights [P, L] float32 of a prompt.

    Args:
      text: see above.
      tokenizer: of a text encoder, which has the words of embeddings.
      words: name of an embedding in prompts -> its word.
      without: number of a piece, from 1, that is left out; 0 for none. Pieces are embeddings, and
        what stands between them and changes of weight.

    Raises:
      ValueError: more chunks than a call can have.
    """
    room = tokenizer.max_length - 2
    found: list[list[tuple[int, float]]] = [[]]
    pieces = [
        (ids, weight)
        for piece, weight in weighted(text)
        for ids in _pieces(piece, tokenizer, words)
    ]
    for number, (ids, weight) in enumerate(pieces, start=1):
        is_cut = len(ids) >= CUT_FROM
        while ids and number != without:
            free = room - len(found[-1])
            taken = free if is_cut or free in (room, len(ids)) or free > len(ids) else 0
            found[-1] += [(one, weight) for one in ids[:taken]]
            ids = ids[taken:]
            if ids:
                found.append([])
    if len(found) > MOST_CHUNKS:
        raise ValueError(f"a prompt has {len(found)} chunks; at most {MOST_CHUNKS} are possible")
    ids = tokenizer.framed([[one for one, _ in own] for own in found])
    weights = np.ones(ids.shape, np.float32)
    for row, own in zip(weights, found, strict=True):
        row[1 : len(own) + 1] = [weight for _, weight in own]
    return ids, weights


def _pieces(piece: str, tokenizer: Tokenizer, words: Mapping[str, str]) -> list[list[int]]:
    """The ids of what stands between embeddings, and of each of those.

    A blank is a piece at the beginning alone: ComfyUI numbers them so.
    """
    texts, end = [], 0
    for match in EMBEDDING.finditer(piece):
        word = words.get(match[1].rstrip(","))
        if word is None:
            continue
        rest = len(match[1]) - len(match[1].rstrip(","))
        texts += [piece[end : match.start()], word]
        end = match.end() - rest
    texts.append(piece[end:])
    first, *others = texts
    return tokenizer.encode([one for one in (first, *map(str.strip, others)) if one])
