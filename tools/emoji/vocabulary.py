"""A small CLIP vocabulary: the merges that given texts need, and nothing else.

Byte-pair encoding applies the earliest merge that fits until none fits. If every merge that a
word's encoding uses is kept, in the old order, then the same merge is the earliest one at each
step, and the word falls into the same pieces as with the whole vocabulary.
"""

import itertools
from collections.abc import Iterable

from jaxsd.text import Tokenizer, Vocabulary, clip_vocabulary, vocabulary_of
from jaxsd.text.vocabulary import EOS, WORD_END

MAX_LENGTH = 32

Merge = tuple[str, str]


def _joined(pieces: list[str], merge: Merge) -> list[str]:
    """The pieces with every occurrence of the merge replaced, from left to right."""
    result: list[str] = []
    for piece in pieces:
        # What was just joined is longer than the merge's first half and cannot join again.
        if result and (result[-1], piece) == merge:
            result[-1] += piece
        else:
            result.append(piece)
    return result


def merges_of(token: str, ranks: dict[Merge, int]) -> list[Merge]:
    """The merges that lead from single bytes to a token of the vocabulary, in order of use.

    Encoding a whole word uses the same ones for this part of it: no merge crosses the border
    between two final pieces, so what happens within one does not depend on its neighbours.
    """
    body = token.removesuffix(WORD_END)
    pieces = [*body[:-1], body[-1] + token[len(body) :]]
    used: list[Merge] = []
    while len(pieces) > 1:
        merge = min(itertools.pairwise(pieces), key=lambda pair: ranks.get(pair, 1e9))
        used.append(merge)
        pieces = _joined(pieces, merge)
    return used


def trimmed(texts: Iterable[str], whole: Vocabulary) -> Vocabulary:
    """The part of a vocabulary that gives the texts the same pieces as the whole one.

    It holds all 512 byte symbols, so that any text can be encoded. Ids are renumbered in CLIP's
    order: bytes, merges, start and end of text.
    """
    ranks = {merge: rank for rank, merge in enumerate(whole.merges)}
    token_of = {i: token for token, i in whole.ids.items()}
    encoded = Tokenizer(whole, pad_token=whole.ids[EOS]).encode(sorted(set(texts)))
    tokens = {token_of[i] for ids in encoded for i in ids}
    used = {merge for token in tokens for merge in merges_of(token, ranks)}
    return vocabulary_of(sorted(used, key=ranks.__getitem__))


def caption_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """A tokenizer with the part of CLIP's vocabulary that the texts need; it pads with EOS."""
    vocabulary = trimmed(texts, clip_vocabulary())
    return Tokenizer(vocabulary, MAX_LENGTH, pad_token=vocabulary.ids[EOS])
