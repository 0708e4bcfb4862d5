"""Prompts to rows of token ids, as CLIP text encoders read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, takewhile
from typing import Any

import numpy as np

from jaxsd.config import TextConfig
from jaxsd.text.vocabulary import BOS, EOS, WORD_END, Vocabulary, clip_vocabulary
from jaxsd.text_files import LONGEST_TEXT

WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
"""Pieces that CLIP encodes one by one: special tokens, English endings, letters, a digit, signs."""


@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary together with the length and the padding of one text encoder.

    The ids are those of transformers' `CLIPTokenizer`, and so of diffusers: NFC, runs of white
    space to one space, lower case, byte-pair encoding. OpenAI's own code also repairs broken
    Unicode (ftfy) and unescapes HTML entities first; all others skip that with these checkpoints,
    so it is skipped here too. As in transformers, special tokens are found in a prompt's text,
    and the padding is one of them: where it is "!", as in SD 2 and XL, an exclamation mark in a
    prompt becomes id 0, not 256.

    Attributes:
      max_length: tokens per prompt, `BOS` and `EOS` included.
      pad_token: id that fills a prompt up to `max_length`.
    """

    vocabulary: Vocabulary
    max_length: int = 77
    pad_token: int = 49407

    def __post_init__(self) -> None:
        """Checks the padding and the length.

        Raises:
          ValueError: `pad_token` is not an id of the vocabulary, or `max_length` is less than 2.
        """
        if self.pad_token not in self.vocabulary.ids.values():
            raise ValueError(
                f"pad_token {self.pad_token} is not one of the {len(self.vocabulary.ids)} ids of "
                f"the vocabulary; use {self.vocabulary.ids[EOS]}, the end of a prompt, or 0"
            )
        if self.max_length < 2:
            raise ValueError(f"max_length {self.max_length} is too short, expected at least 2")

    def __call__(self, prompts: Sequence[str]) -> np.ndarray:
        """Token ids, int32 [B, max_length]: `BOS`, the prompt, `EOS`, padding.

        Tokens that do not fit are left out; `cut` tells how many.
        """
        return self.framed([ids[: self.max_length - 2] for ids in self.encode(prompts)])

    def framed(self, chunks: Sequence[Sequence[int]]) -> np.ndarray:
        """Ids of chunks that fit, as `encode` gives them, int32 [P, max_length]; see `__call__`."""
        bos, eos = self.vocabulary.ids[BOS], self.vocabulary.ids[EOS]
        rows = np.full((len(chunks), self.max_length), self.pad_token, np.int32)
        for row, ids in zip(rows, chunks, strict=True):
            row[: len(ids) + 2] = [bos, *ids, eos]
        return rows

    @property
    def comma(self) -> int | None:
        """Id of a comma that ends a word; None where the vocabulary has none."""
        return self.vocabulary.ids.get(f",{WORD_END}")

    def cut(self, prompts: Sequence[str]) -> list[int]:
        """How many tokens of each prompt do not fit into `max_length`."""
        return [max(0, len(ids) + 2 - self.max_length) for ids in self.encode(prompts)]

    def encode(self, prompts: Sequence[str]) -> list[list[int]]:
        """Ids of each prompt, whole, without `BOS`, `EOS` and padding.

        Of longer ones, such as a picture may carry, the first `LONGEST_TEXT` characters count.

        If `token_1`, `token_2`, ... are added beside a token, it stands for all of them. This is
        how diffusers names the vectors of one word (textual inversion).
        """
        if not prompts:
            return []
        texts = [prompt[:LONGEST_TEXT] for prompt in prompts]
        rows = [row.ids for row in self._clip.encode_batch(texts, add_special_tokens=False)]
        return [[i for first in row for i in self._words.get(first, (first,))] for row in rows]

    @cached_property
    def _words(self) -> dict[int, tuple[int, ...]]:
        """Id of the first vector -> ids of all, for added tokens with more than one."""
        ids, added = self.vocabulary.ids, set(self.vocabulary.added)
        words = {}
        for token in added:
            others = takewhile(added.__contains__, (f"{token}_{n}" for n in count(1)))
            words[ids[token]] = (ids[token], *(ids[other] for other in others))
        return words

    @cached_property
    def _clip(self) -> Any:
        # Imported here because it would slow down `import jaxsd`. transformers builds the same from
        # this library, but takes a second to import.
        from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

        clip = Tokenizer(
            models.BPE(
                vocab=self.vocabulary.ids,
                merges=list(self.vocabulary.merges),
                end_of_word_suffix="</w>",
                unk_token=EOS,
            )
        )
        spaces = normalizers.Replace(Regex(r"\s+"), " ")
        clip.normalizer = normalizers.Sequence([normalizers.NFC(), spaces, normalizers.Lowercase()])
        words = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
        as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
        clip.pre_tokenizer = pre_tokenizers.Sequence([words, as_bytes])
        ends = [AddedToken(token, normalized=True, special=True) for token in (BOS, EOS)]
        if self.pad not in (BOS, EOS):
            ends.append(AddedToken(self.pad, normalized=False, special=True))
        clip.add_special_tokens(ends)
        clip.add_tokens([AddedToken(token) for token in self.vocabulary.added])
        return clip

    @cached_property
    def pad(self) -> str:
        """The token whose id is `pad_token`."""
        return next(token for token, i in self.vocabulary.ids.items() if i == self.pad_token)


def clip_tokenizer(config: TextConfig) -> Tokenizer:
    """The tokenizer of a text encoder that uses CLIP's vocabulary, from the package."""
    return Tokenizer(clip_vocabulary(), config.max_length, config.pad_token)
