"""What a CPU runs for a 3x3 convolution of stride 1, by shape and dtype.

XLA's own convolution is the best for few channels, and it has no form for bfloat16. Others took 0.4
to 0.8 of its time: Winograd's for many pixels, a matrix product of patches for few pixels and a
large kernel.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxsd.nn.dense import einsum32
from jaxsd.nn.processor import has_avx512, multiplies_bfloat16
from jaxsd.nn.winograd import winograd
from jaxsd.types import Array

PATCH_MAX_PIXELS = 256
"""Pixels, all images together, up to which one product of patches is the best form."""

NARROW_PATCH_MAX_PIXELS = 512
"""The same where bfloat16 is multiplied."""

PATCH_MIN_CHANNELS = 320
"""Input channels from which one product of patches is faster."""

WINOGRAD_MIN_CHANNELS, WIDE_WINOGRAD_MIN_CHANNELS = 64, 256
"""Input and output channels from which Winograd's form is faster for more pixels: with vectors of
up to 256 bits, and with those of 512, where the products that it saves take less of the time.
"""

WINOGRAD_MIN_WORK = 2**26
"""Pixels times input and output channels from which it is worth longer compiling and loading."""

Form = Callable[[Array, Array], Array]


def fast_form(shape: tuple[int, ...], out: int, dtype: jnp.dtype) -> Form | None:
    """The form that is faster than XLA's convolution; None if there is none.

    Args:
      shape: [B, h, w, c] of the input.
      out: channels of the result.
      dtype: dtype of the input.
    """
    *pixels, channels = shape
    narrow = dtype == jnp.bfloat16 and multiplies_bfloat16()
    if math.prod(pixels) <= (NARROW_PATCH_MAX_PIXELS if narrow else PATCH_MAX_PIXELS):
        return convolution_of_patches if channels >= PATCH_MIN_CHANNELS else None
    much = math.prod(shape) * out > WINOGRAD_MIN_WORK
    many = WIDE_WINOGRAD_MIN_CHANNELS if has_avx512() else WINOGRAD_MIN_CHANNELS
    return winograd if much and min(channels, out) >= many else None


def convolution_of_patches(x: Array, kernel: Array) -> Array:
    """A 3x3 convolution, padded by one, as one product: of each pixel with its eight neighbours.

    Args:
      x: [B, h, w, c].
      kernel: [3, 3, c, channels], dtype of `x`.

    Returns:
      [B, h, w, channels], dtype of `x`.
    """
    patches = _patches(x)
    kernel = kernel.reshape(patches.shape[-1], -1)
    return einsum32("bhwk,ko->bhwo", patches, kernel).astype(x.dtype)


@jax.custom_jvp
def _patches(x: Array) -> Array:
    """[B, h, w, c] -> [B, h, w, 9c], zeros outside of the map."""
    if x.dtype != jnp.bfloat16:
        return _neighbours(x)
    # XLA would move bfloat16 as float32, with conversions before and after.
    moved = _neighbours(jax.lax.bitcast_convert_type(x, jnp.uint16))
    return jax.lax.bitcast_convert_type(moved, x.dtype)


@_patches.defjvp
def _patches_tangent(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _patches(*primals), _neighbours(*tangents)


def _neighbours(x: Array) -> Array:
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(taps, -1)
