"""What is asked of a pipeline, put into arrays: one value per image, keys, noise."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxsd.parallel import share
from jaxsd.types import Array

INITIAL_NOISE = 2**32 - 1
"""Folded into an image's key for the noise it starts from; rows of the table are 0, 1, 2, ..."""


def as_list(value: str | Sequence[str]) -> list[str]:
    """One text or several, as several."""
    return [value] if isinstance(value, str) else list(value)


def per_image(name: str, value: Any, count: int) -> list[Any]:
    """One value for all images, or one for each.

    Raises:
      ValueError: a sequence of another length.
    """
    if isinstance(value, str) or np.isscalar(value):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} values for {count} images; give 1 or {count}")
    return list(value)


def guided_rows(interval: tuple[float, float], count: int) -> tuple[int, int]:
    """The rows (first, end) of so many that a guidance interval covers.

    Raises:
      ValueError: not two numbers in order within 0 to 1.
    """
    first, end = interval
    if not 0 <= first <= end <= 1:
        raise ValueError(
            f"guidance_interval {interval} is not (FROM, TO) with 0 <= FROM <= TO <= 1"
        )
    return round(first * count), round(end * count)


def image_keys(seeds: Sequence[int], mesh: Mesh | None = None) -> Array:
    """One key per image, [B]; a function of its seed alone.

    Raises:
      ValueError: a seed out of range.
    """
    for seed in seeds:
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed {seed} is out of range; seeds are 0 to {2**32 - 1}")
    numbers = np.array(seeds, np.uint32)
    return jax.vmap(jax.random.key)(numbers if mesh is None else share(numbers, mesh))


@partial(jax.jit, static_argnames="shape")
def initial_noise(keys: Array, shape: tuple[int, ...]) -> Array:
    """Unit noise [B, h, w, c] float32, each image's from its own key."""
    return jax.vmap(
        lambda key: jax.random.normal(jax.random.fold_in(key, INITIAL_NOISE), shape[1:])
    )(keys)


def checked_noise(latents: Array, shape: tuple[int, ...], mesh: Mesh | None) -> Array:
    """The noise a caller gave, if it fits.

    Raises:
      ValueError: another shape than the images need.
    """
    if latents.shape != shape:
        raise ValueError(f"latents have shape {latents.shape}, these images need {shape}")
    noise = np.asarray(latents, np.float32)
    return jnp.asarray(noise) if mesh is None else share(noise, mesh)
