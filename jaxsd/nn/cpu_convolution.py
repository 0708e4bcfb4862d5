"""What a CPU runs for a 3x3 convolution of stride 1, by shape and dtype.

XLA's own convolution is the best for few channels, and it has no form for bfloat16. Others took 0.4
to 0.8 of its time: Winograd's for many pixels, a matrix product of patches for few pixels and a
large kernel. Convolutions of enlarged maps are computed from the small maps, in 0.2 to 0.4 of the
time.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp

from jaxsd.nn.dense import einsum32
from jaxsd.nn.processor import multiplies_bfloat16
from jaxsd.nn.winograd import winograd, winograd_of_doubled
from jaxsd.types import Array

PATCH_MAX_PIXELS = 256
"""Pixels, all images together, up to which one product of patches is the best form."""

PRODUCT_MIN_CHANNELS = 320
"""Input channels from which products are faster for few pixels or bfloat16."""

WINOGRAD_MIN_CHANNELS = 64
"""Input and output channels from which Winograd's form is faster for more pixels."""

WINOGRAD_MIN_WORK = 2**26
"""Pixels times input and output channels from which it is worth longer compiling and loading."""

Form = Callable[[Array, Array], Array]
Groups = tuple[tuple[tuple[int, int], ...], ...]
"""Groups of neighbours of a pixel, each (row, column) in 0..2; the pixel itself is (1, 1)."""

ROWS: Groups = tuple(tuple((i, j) for j in range(3)) for i in range(3))
PATCHES: Groups = (sum(ROWS, ()),)
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
    if math.prod(pixels) <= PATCH_MAX_PIXELS or (dtype == jnp.bfloat16 and multiplies_bfloat16()):
        return convolution_as_products if channels >= PRODUCT_MIN_CHANNELS else None
    much = math.prod(shape) * out > WINOGRAD_MIN_WORK
    return winograd if much and min(channels, out) >= WINOGRAD_MIN_CHANNELS else None


def convolution_as_products(x: Array, kernel: Array) -> Array:
    """A 3x3 convolution, padded by one, as one product of patches or three of their rows.

    Args:
      x: [B, h, w, c].
      kernel: [3, 3, c, channels], dtype of `x`.

    Returns:
      [B, h, w, channels], dtype of `x`.
    """
    groups = PATCHES if x.shape[1] * x.shape[2] <= PATCH_MAX_PIXELS else ROWS
    kernels = kernel.reshape(len(groups), -1, kernel.shape[-1])
    return sum(_products(x, groups, kernels)).astype(x.dtype)


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
    batch, height, width, channels = x.shape
    kernels = [_folded(_folded(kernel, 0, i), 1, j) for i, j in product((0, 1), repeat=2)]
    kernels = [k.reshape(4 * channels, -1) for k in kernels]
    parts = [part.astype(x.dtype) for part in _products(x, CORNERS, kernels)]
    pixels = jnp.stack([jnp.stack(parts[:2], 3), jnp.stack(parts[2:], 3)], 2)
    return pixels.reshape(batch, 2 * height, 2 * width, -1)


def _folded(kernel: Array, axis: int, half: int) -> Array:
    """Three taps along an axis, merged into two for the first or second half of an old pixel."""
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
