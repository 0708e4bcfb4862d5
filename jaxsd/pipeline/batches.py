"""How many images a call draws, their keys, and the noise that a caller gives."""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxsd.parallel import share
from jaxsd.types import Array

Value = TypeVar("Value")


def batch_size(count: int, devices: int = 1) -> int:
    """The batch size for `count` images: the next of a few sizes, so that few programs are needed.

    Each device takes 1, 2, 3, 4, 6, 8, 12, 16, 24, ... images: on one device, at most a third of
    the batch is padding.
    """
    each = -(-count // devices)
    power = 1 << (each - 1).bit_length()  # 3/4 of it is the only other size
    return devices * (power * 3 // 4 if power > 2 and each <= power * 3 // 4 else power)


def filled(values: Sequence[Value], count: int) -> list[Value]:
    """Pads `values` to `count` by repeating the last value."""
    return [*values, *values[-1:] * (count - len(values))]


def per_image(name: str, value: Any, count: int) -> list[Any]:
    """One value for all images, or one for each.

    Raises:
      ValueError: a sequence of another length.
    """
    if isinstance(value, str | bytes) or not np.iterable(value):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} values for {count} images; give one, or as many")
    return list(value)


def image_keys(seeds: Sequence[int], mesh: Mesh | None = None) -> Array:
    """One key per image, [B]: `jax.random.key` of its seed, made without compiling a program.

    Those of seeds from 2**32 on are what it makes of them where JAX has 64-bit types.
    """
    halves = np.array([divmod(seed, 2**32) for seed in seeds], np.uint32)
    data = jnp.asarray(halves) if mesh is None else share(halves, mesh)
    return jax.random.wrap_key_data(data, impl="threefry2x32")


def placed(arrays: np.ndarray, mesh: Mesh | None) -> Array:
    """Arrays [B, ...] of this host on JAX's default device, or as its part of those on a mesh."""
    return jnp.asarray(arrays) if mesh is None else share(arrays, mesh)


def given_noise(latents: Array, shape: tuple[int, ...], batch: int) -> np.ndarray:
    """The caller's noise, padded to a batch by repeating that of the last image.

    Raises:
      ValueError: another shape than the images need.
    """
    if latents.shape != shape:
        raise ValueError(f"latents have shape {latents.shape}, these images need {shape}")
    noise = np.asarray(latents, np.float32)
    return np.concatenate([noise, *[noise[-1:]] * (batch - len(noise))])
