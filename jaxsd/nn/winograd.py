"""3x3 convolutions with fewer multiplications (Lavin and Gray 2016, arXiv 1509.09308).

Nothing is approximated: in float32 the results are as near to those in float64 as other forms come.
This saves matrix products and costs additions before and after them. Large maps are therefore
computed band by band, so that the sums are still in the cache when they are used.
"""

from collections.abc import Sequence
from functools import partial, reduce

import jax
import jax.numpy as jnp

from jaxsd.nn.bands import in_bands
from jaxsd.types import Array

INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))
"""B', G and A' of F(2x2, 3x3), equation 7: two neighbours from 4 pixels and 4 products, not 6."""

BAND = 2**21
"""Numbers in a result up to which it is computed in one band."""

Grid = Sequence[Sequence[Array]]


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
    kernels = _sandwiched(KERNEL, kernel)
    tiles = partial(_tiles, kernels)
    out = in_bands(tiles, jnp.pad(wide, odd), kernel.shape[-1], BAND, unit=2)
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
    kernels = [_taps(taps) for taps in _taps(kernel)]
    return in_bands(partial(_doubled, kernels), wide, 4 * kernel.shape[-1], BAND).astype(x.dtype)


def _wide(x: Array, kernel: Array) -> tuple[Array, Array]:
    """Both in float32 at least. The barrier keeps XLA from preparing all kernels before a loop."""
    x, kernel = jax.lax.optimization_barrier((x, kernel))
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    return x.astype(dtype), kernel.astype(dtype)


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
    half = [[combined(row, column) for column in zip(*parts, strict=True)] for row in matrix]
    return [[combined(row, line) for row in matrix] for line in half]


def combined(weights: Sequence[float], arrays: Sequence[Array]) -> Array:
    """The sum of weights that are all 0, s or -s, in few instructions."""
    plus, minus = ([a for w, a in zip(weights, arrays, strict=True) if n * w > 0] for n in (1, -1))
    scale, total = max(weights), reduce(jnp.subtract, minus, reduce(jnp.add, plus))
    return total if scale == 1 else scale * total


def _dot(x: Array, kernel: Array) -> Array:
    return jnp.einsum("bhwc,co->bhwo", x, kernel)


def _interleaved(pixels: Grid) -> Array:
    """2 x 2 arrays [B, h, w, c] -> [B, 2h, 2w, c]."""
    out = jnp.stack([jnp.stack(row, 3) for row in pixels], 2)
    batch, height, _, width, _, channels = out.shape
    return out.reshape(batch, 2 * height, 2 * width, channels)
