"""Prompts to token ids: their grammar, the CLIP tokenizer, its vocabulary, and its files."""

from jaxsd.text.files import read_tokenizer, write_tokenizer
from jaxsd.text.tokenizer import Tokenizer, clip_tokenizer
from jaxsd.text.vocabulary import Vocabulary, clip_vocabulary, vocabulary_of

__all__ = [
    "Tokenizer",
    "Vocabulary",
    "clip_tokenizer",
    "clip_vocabulary",
    "read_tokenizer",
    "vocabulary_of",
    "write_tokenizer",
]
