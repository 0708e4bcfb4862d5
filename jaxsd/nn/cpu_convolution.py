"""What a processor runs for a 3x3 convolution of stride 1, by shape and dtype.

XLA's own convolution is the best for large maps in float32, and it has no form for bfloat16. Where
pixels are few and channels many it falls behind a matrix product of patches, which took 0.8 of its
time for 1280 channels at 16 x 16 and 0.55 at 8 x 8, but 1.2 for 640 channels at 32 x 32.
"""

from functools import partial

import jax
import jax.numpy as jnp

from jaxsd.nn.dense import einsum32
from jaxsd.nn.processor import multiplies_bfloat16
from jaxsd.types import Array

FEW = 256
"""Pixels of a map up to which one product of patches is the best form: 16 x 16."""

MANY = 320
"""Channels in from which products pay at all."""


def products_pay(shape: tuple[int, ...], dtype: jnp.dtype) -> bool:
    """Whether `convolution_as_products` is faster than XLA's convolution.

    Args:
      shape: [B, h, w, c] of the input.
      dtype: of the input.
    """
    _, height, width, channels = shape
    few = height * width <= FEW
    return channels >= MANY and (few or (dtype == jnp.bfloat16 and multiplies_bfloat16()))


def convolution_as_products(x: Array, kernel: Array) -> Array:
    """A 3x3 convolution, padded by one, as one product of patches or three of rows of them.

    Args:
      x: [B, h, w, c].
      kernel: [3, 3, c, channels], dtype of `x`.

    Returns:
      [B, h, w, channels], dtype of `x`.
    """
    taps = 9 if x.shape[1] * x.shape[2] <= FEW else 3
    kernels = kernel.reshape(9 // taps, -1, kernel.shape[-1])
    parts = zip(_beside(x, taps), kernels, strict=True)
    return sum(einsum32("bhwk,ko->bhwo", part, k) for part, k in parts).astype(x.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _beside(x: Array, taps: int) -> tuple[Array, ...]:
    """[B, h, w, c] -> the nine pixels around each, `taps` of them in each [B, h, w, taps * c]."""
    if x.dtype != jnp.bfloat16:
        return _shifted(x, taps)
    # XLA would move bfloat16 as float32, with conversions before and after.
    moved = _shifted(jax.lax.bitcast_convert_type(x, jnp.uint16), taps)
    return tuple(jax.lax.bitcast_convert_type(part, x.dtype) for part in moved)


@_beside.defjvp
def _beside_tangent(
    taps: int, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    return _beside(*primals, taps), _shifted(*tangents, taps)


def _shifted(x: Array, taps: int) -> tuple[Array, ...]:
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    pixels = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return tuple(jnp.concatenate(pixels[n : n + taps], -1) for n in range(0, 9, taps))
