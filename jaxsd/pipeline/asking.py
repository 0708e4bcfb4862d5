"""What is asked for, made into the arrays that the programs take."""

import warnings
from collections.abc import Sequence

import numpy as np
from jax.sharding import Mesh

from jaxsd.config import ModelSpec
from jaxsd.parallel import share
from jaxsd.sampling.program import Request
from jaxsd.text import Tokenizer
from jaxsd.types import Array


def text_request(
    spec: ModelSpec,
    tokenizers: Sequence[Tokenizer],
    mesh: Mesh | None,
    *,
    negatives: Sequence[str],
    prompts: Sequence[str],
    scales: np.ndarray,
    noise: Array,
    keys: Array,
) -> Request:
    """The request for a model; arguments as those of `Pipeline.request`."""
    pairs = zip(negatives, prompts, strict=True)
    texts = [text for pair in pairs for text in pair] if negatives else list(prompts)
    if cut := max(tokenizers[0].cut(texts)):
        warnings.warn(
            f"a prompt is {cut} tokens too long for this model; the end was left out",
            stacklevel=6,
        )
    keep = np.ones(len(texts), np.float32)
    if spec.zero_empty_negative and negatives:
        keep[::2] = [bool(text) for text in negatives]
    asked = (
        tuple(tokenizer(texts) for tokenizer in tokenizers),
        keep,
        time_ids(spec, len(prompts), noise.shape, guided=len(negatives) > 0),
        scales,
    )
    return Request(*(asked if mesh is None else share(asked, mesh)), noise, keys)


def time_ids(
    spec: ModelSpec, count: int, shape: tuple[int, ...], *, guided: bool
) -> np.ndarray | None:
    """XL's sizes and crop (Podell et al. 2023, section 2.2), or the refiner's with a score.

    Args:
      spec: of the model.
      count: images.
      shape: of their latents [B, h, w, c].
      guided: whether each image has two rows.
    """
    added = spec.unet.added
    if added is None:
        return None
    size = (shape[1] * spec.vae.downscale, shape[2] * spec.vae.downscale)
    if added.time_ids == 6:
        return np.tile(np.array([*size, 0, 0, *size], np.float32), (count * (1 + guided), 1))
    # The refiner was told how much people liked each picture; these are diffusers' values.
    scores = [2.5, 6.0] if guided else [6.0]
    return np.array([[*size, 0, 0, score] for score in scores] * count, np.float32)


def latent_shape(
    spec: ModelSpec, count: int, height: int | None, width: int | None
) -> tuple[int, int, int, int]:
    """[B, h, w, c] of so many images; None is the side that suits the model.

    Raises:
      ValueError: a side in pixels that no latents stand for.
    """
    unit = spec.vae.downscale
    sides = []
    for name, side in (("height", height), ("width", width)):
        side = spec.default_size if side is None else side
        if side <= 0 or side % unit:
            raise ValueError(f"{name} {side} is not a multiple of {unit} pixels above 0")
        sides.append(side // unit)
    return (count, *sides, spec.vae.latent_channels)
