"""What is asked of a pipeline, put into arrays: one value per image, keys, given noise."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxsd.parallel import share
from jaxsd.types import Array


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


def batch_size(count: int, devices: int = 1) -> int:
    """The batch that so many images are drawn in: the next of few sizes, so that few programs are
    compiled.

    Each device takes 1, 2, 3, 4, 6, 8, 12, 16, 24, ... images: at most a third is drawn in vain.
    """
    each = -(-count // devices)
    power = 1 << (each - 1).bit_length()  # 3/4 of it is the other size that may suffice
    return devices * (power * 3 // 4 if power > 2 and each <= power * 3 // 4 else power)


def filled(values: Sequence[Any], count: int) -> list[Any]:
    """So many values, the last one again and again; none where there are none."""
    return [*values, *values[-1:] * (count - len(values))] if values else []


def image_keys(seeds: Sequence[int], mesh: Mesh | None = None) -> Array:
    """One key per image, [B]: `jax.random.key` of its seed, made without a program to compile.

    Raises:
      ValueError: a seed out of range.
    """
    for seed in seeds:
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed {seed} is out of range; seeds are 0 to {2**32 - 1}")
    halves = np.array([(0, seed) for seed in seeds], np.uint32)
    data = jnp.asarray(halves) if mesh is None else share(halves, mesh)
    return jax.random.wrap_key_data(data, impl="threefry2x32")


def checked_noise(latents: Array, shape: tuple[int, ...], batch: int, mesh: Mesh | None) -> Array:
    """The noise a caller gave, if it fits, filled up to a batch with the last one's.

    Raises:
      ValueError: another shape than the images need.
    """
    if latents.shape != shape:
        raise ValueError(f"latents have shape {latents.shape}, these images need {shape}")
    noise = np.asarray(latents, np.float32)
    noise = np.concatenate([noise, *[noise[-1:]] * (batch - len(noise))])
    return jnp.asarray(noise) if mesh is None else share(noise, mesh)
