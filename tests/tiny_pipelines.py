"""Pipelines of tiny random models, and a tokenizer that needs no file."""

import zlib
from dataclasses import replace

import jax
import numpy as np
from tiny_models import TINY, pipeline_params

from jaxsd.config import Level, ModelSpec, TextConfig, TinyVAEConfig
from jaxsd.pipeline import Pipeline


class LetterTokenizer:
    """One id for each character, of the 99 that tiny text encoders know."""

    def __init__(self, config: TextConfig) -> None:
        self.config = config

    @property
    def max_length(self) -> int:
        return self.config.max_length

    @property
    def comma(self) -> int:
        return self.encode([","])[0][0]

    def encode(self, prompts: list[str]) -> list[list[int]]:
        return [[zlib.crc32(c.encode()) % 97 for c in prompt] for prompt in prompts]

    def framed(self, chunks: list[list[int]]) -> np.ndarray:
        config = self.config
        ids = np.full((len(chunks), config.max_length), config.pad_token, np.int32)
        for row, letters in zip(ids, chunks, strict=True):
            row[: len(letters) + 2] = [config.vocab_size - 2, *letters, config.vocab_size - 1]
        return ids

    def __call__(self, prompts: list[str]) -> np.ndarray:
        return self.framed([ids[: self.max_length - 2] for ids in self.encode(prompts)])

    def cut(self, prompts: list[str]) -> list[int]:
        return [max(0, len(prompt) + 2 - self.config.max_length) for prompt in prompts]


def pipeline(spec: ModelSpec, dtype: str = "float32") -> Pipeline:
    """A model of random weights, with letters for tokens."""
    params = jax.tree.map(lambda a: jax.numpy.asarray(a, dtype), pipeline_params(spec))
    return Pipeline(spec, params, tuple(LetterTokenizer(text) for text in spec.text), dtype)


# Quicker to compile than the tiny families: one level of a U-Net, two of the VAE. Its latents have
# two pixels along a side.
SMALL = replace(
    TINY["sd1"],
    unet=replace(TINY["sd1"].unet, levels=(Level(32, 1, 0, 4),)),
    vae=replace(TINY["sd1"].vae, channels=(8, 16)),
    text=(replace(TINY["sd1"].text[0], layers=1),),
)

SMALLEST = replace(
    SMALL, vae=TinyVAEConfig(channels=8, encoder_blocks=(1, 1), decoder_blocks=(1, 1))
)
"""Where it does not matter how pictures are decoded."""
