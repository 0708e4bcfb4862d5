"""The CLIP vocabulary: a byte alphabet, merges, and two special tokens."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

BOS = "<|startoftext|>"
EOS = "<|endoftext|>"
WORD_END = "</w>"


@dataclass(frozen=True)
class Vocabulary:
    """Byte-pair encoding as data.

    Attributes:
      ids: token -> id; `BOS` and `EOS` are among them.
      merges: pairs of tokens, the earlier ones are merged first.
      added: tokens that are found in a prompt before all others (textual inversion), a part of
        `ids`.
    """

    ids: dict[str, int] = field(repr=False)
    merges: tuple[tuple[str, str], ...] = field(repr=False)
    added: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks that the special and the merged tokens have ids.

        Raises:
          ValueError: a special token or the result of a merge is not in `ids`.
        """
        wanted = (BOS, EOS, *self.added, *(first + second for first, second in self.merges))
        missing = [token for token in wanted if token not in self.ids]
        if missing:
            raise ValueError(
                f"the vocabulary lacks {len(missing)} tokens that it needs, the first is "
                f"{missing[0]!r}; vocab.json and merges.txt must be those of one model"
            )


def byte_alphabet() -> tuple[str, ...]:
    """256 printable characters, one for each byte, in the order of their ids.

    Printable Latin-1 bytes stand for themselves and come first; the other 68 are written as the
    characters from U+0100 on (Radford et al., "Language Models are Unsupervised Multitask
    Learners", 2019, section 2.2).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return tuple(map(chr, printable)) + tuple(chr(0x100 + i) for i in range(256 - len(printable)))


def vocabulary_of(merges: Sequence[tuple[str, str]]) -> Vocabulary:
    """The vocabulary that CLIP's rule gives for these merges, of 512 + len(merges) + 2 tokens.

    Ids are numbered: bytes, bytes that end a word, merged tokens, `BOS`, `EOS`.
    """
    alphabet = byte_alphabet()
    tokens = (
        *alphabet,
        *(letter + WORD_END for letter in alphabet),
        *(first + second for first, second in merges),
        BOS,
        EOS,
    )
    return Vocabulary({token: i for i, token in enumerate(tokens)}, tuple(merges))


def parse_merges(text: str, where: object = "merges.txt") -> tuple[tuple[str, str], ...]:
    """The pairs of a `merges.txt`; `where` is its name in errors.

    Raises:
      ValueError: a line does not hold two tokens.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    first = 1 if lines[0].startswith("#version") else 0
    pairs = tuple(tuple(line.split(" ")) for line in lines[first:] if line.strip())
    for number, pair in enumerate(pairs, start=first + 1):
        if len(pair) != 2:
            raise ValueError(f"line {number} of {where} holds {len(pair)} tokens, expected 2")
    return pairs


def format_merges(merges: Sequence[tuple[str, str]]) -> str:
    """The text of a `merges.txt`."""
    return "\n".join(["#version: 0.2", *(f"{first} {second}" for first, second in merges), ""])


@cache
def clip_vocabulary() -> Vocabulary:
    """OpenAI's vocabulary of 49,408 tokens, which SD 1, 2 and XL share; read from the package."""
    packed = files("jaxsd").joinpath("assets/clip/merges.txt.gz").read_bytes()
    return vocabulary_of(parse_merges(gzip.decompress(packed).decode()))
