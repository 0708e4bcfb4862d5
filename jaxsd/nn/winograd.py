"""3x3 convolutions with fewer multiplications (Lavin and Gray 2016, arXiv 1509.09308).

In float32 the results are as near to those in float64 as other forms come. In bfloat16, where the
processor multiplies it, the sums before the products are rounded too: a layer is then 0.42% of its
results away from float32, where rounding the results alone is 0.17%.

This saves matrix products and costs additions before and after them. Large maps are therefore
computed band by band, so that the sums are still in the cache when they are used.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product

import jax
import jax.numpy as jnp

from jaxsd.nn.processor import multiplies_bfloat16
from jaxsd.types import Array

INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))
"""B', G and A' of F(2x2, 3x3), equation 7: two neighbours from 4 pixels and 4 products, not 6."""

BAND, NARROW_BAND = 2**21, 2**24
"""Numbers in a result up to which it is computed in one band: in general, and with products of
bfloat16, which gain less from the cache than they lose by being many.
"""

Grid = Sequence[Sequence[Array]]
Form = Callable[[Grid, Array], Array]


@jax.checkpoint
def winograd(x: Array, kernel: Array) -> Array:
    """A 3x3 convolution, padded by one: 16 products for four pixels, instead of 36.

    For a gradient only input and kernel are kept; all else is recomputed.

    Args:
      x: [B, h, w, c].
      kernel: [3, 3, c, channels], dtype of `x`.

    Returns:
      [B, h, w, channels], dtype of `x`.
    """
    wide, kernel = _wide(x, kernel)
    odd = ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0))
    kernels = _narrow(_sandwiched(KERNEL, kernel), x.dtype)
    out = _in_bands(_tiles, kernels, jnp.pad(wide, odd), kernel.shape[-1], 2)
    return out[:, : x.shape[1], : x.shape[2]].astype(x.dtype)


@jax.checkpoint
def winograd_of_doubled(x: Array, kernel: Array) -> Array:
    """Repeats each pixel 2 x 2 and convolves: nine products for the four new pixels.

    Along one side, taps (f, m, l), an old pixel x and its neighbours before and after give two new
    pixels, (f + m + l) x + f (before - x) and (f + m + l) x - l (x - after): three products. Each
    difference is computed once for both pixels that it lies between.

    Args:
      x: [B, h, w, c].
      kernel: [3, 3, c, channels], dtype of `x`.

    Returns:
      [B, 2h, 2w, channels], dtype of `x`.
    """
    wide, kernel = _wide(x, kernel)
    kernels = _narrow([_taps(taps) for taps in _taps(kernel)], x.dtype)
    return _in_bands(_doubled, kernels, wide, 4 * kernel.shape[-1], 1).astype(x.dtype)


def _wide(x: Array, kernel: Array) -> tuple[Array, Array]:
    """Both in float32 at least. The barrier keeps XLA from preparing all kernels before a loop."""
    x, kernel = jax.lax.optimization_barrier((x, kernel))
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    return x.astype(dtype), kernel.astype(dtype)


def _narrow(kernels: Grid, dtype: jnp.dtype) -> Grid:
    """Kernels in the dtype of the products of an input in `dtype`."""
    if not (dtype == jnp.bfloat16 and multiplies_bfloat16()):
        return kernels
    return [[kernel.astype(dtype) for kernel in row] for row in kernels]


def _tiles(kernels: Grid, padded: Array) -> Array:
    """[B, h + 2, w + 2, c] -> [B, h, w, channels], for even h and w (equation 8)."""
    height, width = padded.shape[1] - 2, padded.shape[2] - 2
    pixels = [
        [padded[:, i : i + height : 2, j : j + width : 2] for j in range(4)] for i in range(4)
    ]
    sums = _sandwiched(INPUT, pixels)
    products = [list(map(_dot, *rows)) for rows in zip(sums, kernels, strict=True)]
    return _interleaved(_sandwiched(OUTPUT, products))


def _doubled(kernels: Grid, padded: Array) -> Array:
    """[B, h + 2, w + 2, c] -> [B, 2h, 2w, channels]; kernels of `_taps`, of rows and columns."""
    height, width = padded.shape[1] - 2, padded.shape[2] - 2

    def at(i: int, j: int) -> Array:
        return padded[:, i : i + height, j : j + width]

    (both, *columns), *rows = kernels
    middle = _dot(at(1, 1), both)
    down = [_dot(at(i, 1) - at(i + 1, 1), rows[i][0]) for i in (0, 1)]
    across = [_dot(at(1, j) - at(1, j + 1), columns[j]) for j in (0, 1)]

    def new(i: int, j: int) -> Array:
        corner = (at(i, j) - at(i + 1, j)) - (at(i, j + 1) - at(i + 1, j + 1))
        return middle + down[i] + across[j] + _dot(corner, rows[i][1 + j])

    return _interleaved([[new(i, j) for j in (0, 1)] for i in (0, 1)])


def _taps(kernel: Array) -> tuple[Array, Array, Array]:
    """(f, m, l) along the first axis as f + m + l, f and -l."""
    first, middle, last = kernel
    return first + middle + last, first, -last


def _sandwiched(matrix: Sequence[Sequence[float]], parts: Grid) -> Grid:
    """The product matrix @ parts @ matrix', where `parts` is a matrix of arrays."""
    half = [[_combined(row, column) for column in zip(*parts, strict=True)] for row in matrix]
    return [[_combined(row, line) for row in matrix] for line in half]


def _combined(weights: Sequence[float], arrays: Sequence[Array]) -> Array:
    """The sum of weights that are all 0, s or -s, in few instructions."""
    plus, minus = ([a for w, a in zip(weights, arrays, strict=True) if n * w > 0] for n in (1, -1))
    scale, total = max(weights), reduce(jnp.subtract, minus, reduce(jnp.add, plus))
    return total if scale == 1 else scale * total


def _dot(x: Array, kernel: Array) -> Array:
    """Products in the dtype of `kernel`, sums in that of `x`."""
    narrow = x.astype(kernel.dtype)
    return jnp.einsum("bhwc,co->bhwo", narrow, kernel, preferred_element_type=x.dtype)


def _interleaved(pixels: Grid) -> Array:
    """2 x 2 arrays [B, h, w, c] -> [B, 2h, 2w, c]."""
    out = jnp.stack([jnp.stack(row, 3) for row in pixels], 2)
    batch, height, _, width, _, channels = out.shape
    return out.reshape(batch, 2 * height, 2 * width, channels)


def _in_bands(form: Form, kernels: Grid, x: Array, channels: int, unit: int) -> Array:
    """`form` of `x` padded by one; for large maps, a few rows of an image at a time.

    Args:
      form: kernels and [B, h + 2, w + 2, c] -> [B, n h, n w, channels / n^2].
      kernels: for the form.
      x: [B, h, w, c].
      channels: numbers in the result for each pixel of `x`.
      unit: rows of a band are a multiple of this; it divides h.
    """
    batch, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    most = BAND if kernels[0][0].dtype == x.dtype else NARROW_BAND
    if x[..., 0].size * channels <= most:
        return form(kernels, padded)
    fits = most // (width * channels)
    rows = max(n for n in range(unit, max(unit, fits) + 1, unit) if height % n == 0)

    def band(at: Array) -> Array:
        image, row = at
        size = (1, rows + 2, width + 2, x.shape[-1])
        return form(kernels, jax.lax.dynamic_slice(padded, (image, row, 0, 0), size))[0]

    places = product(range(batch), range(0, height, rows))
    out = jax.lax.map(band, jnp.array(list(places)))
    return out.reshape(batch, -1, *out.shape[2:])
