"""What a processor runs for a 3x3 convolution of stride 1, by shape and dtype.

XLA's own convolution is the best for large maps in float32, and it has no form for bfloat16. Where
pixels are few and channels many it falls behind a matrix product of patches, which took 0.8 of its
time for 1280 channels at 16 x 16 and 0.55 at 8 x 8, but 1.2 for 640 channels at 32 x 32.
Convolutions of enlarged maps are of the small ones.
"""

from collections.abc import Sequence
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp

from jaxsd.nn.dense import einsum32
from jaxsd.nn.processor import multiplies_bfloat16
from jaxsd.types import Array

FEW = 256
"""Pixels of a map up to which one product of patches is the best form: 16 x 16."""

MANY = 320
"""Channels in from which products pay at all."""

LAYOUT = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}

Groups = tuple[tuple[tuple[int, int], ...], ...]
"""Groups of neighbours of a pixel, each (row, column) in 0..2; the pixel itself is (1, 1)."""

ROWS: Groups = tuple(tuple((i, j) for j in range(3)) for i in range(3))
PATCHES: Groups = (sum(ROWS, ()),)
CORNERS: Groups = tuple(
    tuple((i + k, j + n) for k, n in product((0, 1), repeat=2))
    for i, j in product((0, 1), repeat=2)
)


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
    groups = PATCHES if x.shape[1] * x.shape[2] <= FEW else ROWS
    kernels = kernel.reshape(len(groups), -1, kernel.shape[-1])
    return sum(_products(x, groups, kernels)).astype(x.dtype)


def convolution_of_doubled(x: Array, kernel: Array) -> Array:
    """Repeats each pixel 2 x 2 and convolves by a 3x3 kernel, padded by one, at the smaller size.

    A new pixel sees four old ones, some of them more than once: taps that fall on the same pixel
    are added up first. That is 16 products for an old pixel in place of 36, and took half of the
    time in the U-Net and a third in the VAE, where the enlarged map no longer has to be written.

    Args:
      x: [B, h, w, c].
      kernel: [3, 3, c, channels], dtype of `x`.

    Returns:
      [B, 2h, 2w, channels], dtype of `x`.
    """
    batch, height, width, channels = x.shape
    kernels = [_folded(_folded(kernel, 0, i), 1, j) for i, j in product((0, 1), repeat=2)]
    if x.dtype == jnp.bfloat16 and multiplies_bfloat16():
        kernels = [k.reshape(4 * channels, -1) for k in kernels]
        parts = [part.astype(x.dtype) for part in _products(x, CORNERS, kernels)]
    else:
        pads = product(((1, 0), (0, 1)), repeat=2)
        convolve = partial(jax.lax.conv_general_dilated, window_strides=(1, 1), **LAYOUT)
        parts = [convolve(x, k, padding=pad) for k, pad in zip(kernels, pads, strict=True)]
    pixels = jnp.stack([jnp.stack(parts[:2], 3), jnp.stack(parts[2:], 3)], 2)
    return pixels.reshape(batch, 2 * height, 2 * width, -1)


def _folded(kernel: Array, axis: int, half: int) -> Array:
    """Three taps along an axis as the two that the first or second half of a pixel has."""
    first, middle, last = jnp.split(kernel, 3, axis)
    return jnp.concatenate([first + middle, last] if half else [first, middle + last], axis)


def _products(x: Array, groups: Groups, kernels: Sequence[Array]) -> list[Array]:
    """For each group of neighbours its product with a kernel, [B, h, w, channels] float32."""
    parts = zip(_beside(x, groups), kernels, strict=True)
    return [einsum32("bhwk,ko->bhwo", part, kernel) for part, kernel in parts]


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _beside(x: Array, groups: Groups) -> tuple[Array, ...]:
    """[B, h, w, c] -> for each group the pixels at its offsets, [B, h, w, len(group) * c]."""
    if x.dtype != jnp.bfloat16:
        return _shifted(x, groups)
    # XLA would move bfloat16 as float32, with conversions before and after.
    moved = _shifted(jax.lax.bitcast_convert_type(x, jnp.uint16), groups)
    return tuple(jax.lax.bitcast_convert_type(part, x.dtype) for part in moved)


@_beside.defjvp
def _beside_tangent(
    groups: Groups, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    return _beside(*primals, groups), _shifted(*tangents, groups)


def _shifted(x: Array, groups: Groups) -> tuple[Array, ...]:
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return tuple(
        jnp.concatenate([padded[:, i : i + height, j : j + width] for i, j in group], -1)
        for group in groups
    )
