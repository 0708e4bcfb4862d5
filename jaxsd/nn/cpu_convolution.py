"""What a CPU runs for a 3x3 convolution of stride 1, by shape and dtype.

XLA's own convolution is the best for few channels, and it has no form for bfloat16. Others took 0.4
to 0.8 of its time: Winograd's for many pixels, a matrix product of patches for few pixels and a
large kernel. Convolutions of enlarged maps are computed from the small maps, in 0.2 to 0.4 of the
time. Processors that multiply bfloat16 take Winograd's form for two rows at a time, in 0.2 to 0.6
of the time.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp

from jaxsd.nn.bands import in_bands
from jaxsd.nn.bits import moved
from jaxsd.nn.dense import einsum32
from jaxsd.nn.processor import has_avx512, multiplies_bfloat16
from jaxsd.nn.winograd import winograd, winograd_of_doubled
from jaxsd.nn.winograd_rows import winograd_of_rows
from jaxsd.types import Array

PATCH_MAX_PIXELS = 256
"""Pixels, all images together, up to which one product of patches is the best form."""

PRODUCT_MIN_CHANNELS, NARROW_PRODUCT_MIN_CHANNELS = 320, 128
"""Input and output channels from which products are faster: for few pixels, and of bfloat16."""

BAND = 2**11
"""Pixels of bfloat16 up to which they are computed in one band. 256 to 128 channels at 512 x 512
took 1.26 of the time with four times as many.
"""

WINOGRAD_MIN_CHANNELS, WIDE_WINOGRAD_MIN_CHANNELS = 64, 256
"""Input and output channels from which Winograd's form is faster for more pixels: with vectors of
up to 256 bits, and with those of 512, where the products that it saves take less of the time.
"""

WINOGRAD_MIN_WORK = 2**26
"""Pixels times input and output channels from which it is worth longer compiling and loading."""

Form = Callable[[Array, Array], Array]
Groups = tuple[tuple[tuple[int, int], ...], ...]
"""Groups of neighbours of a pixel, each (row, column) in 0..2; the pixel itself is (1, 1)."""

PATCHES: Groups = (tuple(product(range(3), repeat=2)),)
CORNERS: Groups = tuple(
    tuple((i + k, j + n) for k, n in product((0, 1), repeat=2))
    for i, j in product((0, 1), repeat=2)
)


def fast_form(shape: tuple[int, ...], out: int, dtype: jnp.dtype) -> Form | None:
    """The form that is faster than XLA's convolution; None if there is none.

    Args:
      shape: [B, h, w, c] of the input.
      out: channels of the result.
      dtype: dtype of the input.
    """
    *pixels, channels = shape
    least = min(channels, out)
    if dtype == jnp.bfloat16 and multiplies_bfloat16():
        if least < NARROW_PRODUCT_MIN_CHANNELS:
            return None
        few = math.prod(pixels[1:]) <= PATCH_MAX_PIXELS
        return convolution_as_products if few else winograd_of_rows
    if math.prod(pixels) <= PATCH_MAX_PIXELS:
        return convolution_as_products if channels >= PRODUCT_MIN_CHANNELS else None
    much = math.prod(shape) * out > WINOGRAD_MIN_WORK
    many = WIDE_WINOGRAD_MIN_CHANNELS if has_avx512() else WINOGRAD_MIN_CHANNELS
    return winograd if much and least >= many else None


@jax.checkpoint
def convolution_as_products(x: Array, kernel: Array) -> Array:
    """A 3x3 convolution, padded by one, as one product of patches.

    For a gradient only input and kernel are kept.

    Args:
      x: [B, h, w, c].
      kernel: [3, 3, c, channels], dtype of `x`.

    Returns:
      [B, h, w, channels], dtype of `x`.
    """
    patches = kernel.reshape(-1, kernel.shape[-1])

    def form(padded: Array) -> Array:
        (out,) = _products(padded, PATCHES, [patches])
        return out.astype(x.dtype)

    return in_bands(form, x, 1, BAND)


@jax.checkpoint
def convolution_of_doubled(x: Array, kernel: Array) -> Array:
    """Repeats each pixel 2 x 2 and convolves by a 3x3 kernel, padded by one, at the smaller size.

    In bfloat16, taps that fall on the same old pixel are added up first: a new pixel sees four old
    ones, so there are 16 products for an old pixel instead of 36. Other dtypes, and processors that
    do not multiply bfloat16, use Winograd's form.

    Args:
      x: [B, h, w, c].
      kernel: [3, 3, c, channels], dtype of `x`.

    Returns:
      [B, 2h, 2w, channels], dtype of `x`.
    """
    if x.dtype != jnp.bfloat16 or not multiplies_bfloat16():
        return winograd_of_doubled(x, kernel)
    kernels = [_folded(_folded(kernel, 0, i), 1, j) for i, j in product((0, 1), repeat=2)]
    kernels = [k.reshape(4 * x.shape[-1], -1) for k in kernels]

    def form(padded: Array) -> Array:
        parts = [part.astype(x.dtype) for part in _products(padded, CORNERS, kernels)]
        pixels = jnp.stack([jnp.stack(parts[:2], 3), jnp.stack(parts[2:], 3)], 2)
        batch, height, _, width, _, channels = pixels.shape
        return pixels.reshape(batch, 2 * height, 2 * width, channels)

    return in_bands(form, x, 1, BAND)


def _folded(kernel: Array, axis: int, half: int) -> Array:
    """Three taps along an axis, merged into two for the first or second half of an old pixel."""
    first, middle, last = jnp.split(kernel, 3, axis)
    return jnp.concatenate([first + middle, last] if half else [first, middle + last], axis)


def _products(padded: Array, groups: Groups, kernels: Sequence[Array]) -> list[Array]:
    """[B, h + 2, w + 2, c] -> the product of each group, [B, h, w, channels] float32."""
    parts = zip(moved(partial(_beside, groups), padded), kernels, strict=True)
    return [einsum32("bhwk,ko->bhwo", part, kernel) for part, kernel in parts]


def _beside(groups: Groups, padded: Array) -> tuple[Array, ...]:
    """[B, h + 2, w + 2, c] -> per group the pixels at its offsets, [B, h, w, len(group) * c]."""
    height, width = padded.shape[1] - 2, padded.shape[2] - 2
    return tuple(
        jnp.concatenate([padded[:, i : i + height, j : j + width] for i, j in group], -1)
        for group in groups
    )
