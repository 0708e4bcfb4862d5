"""3x3 convolutions of bfloat16: Winograd's form for two rows, products of patches along them."""

import jax
import jax.numpy as jnp

from jaxsd.nn.bands import in_bands
from jaxsd.nn.bits import moved
from jaxsd.nn.dense import einsum32
from jaxsd.nn.winograd import INPUT, KERNEL, OUTPUT, combined
from jaxsd.types import Array

BAND = 2**10
"""Pixels up to which there is one band. Four times as many took 1.1 to 1.2 of the time."""


@jax.checkpoint
def winograd_of_rows(x: Array, kernel: Array) -> Array:
    """A 3x3 convolution, padded by one: four products of patches for two rows, instead of six.

    Sums of rows and of taps are rounded to the dtype of `x` before they are multiplied. In bfloat16
    the result is 0.33% of its root mean square away from float32, where a convolution that is
    rounded once is 0.17%, and Winograd's form for rows and columns 0.42%. For a gradient only
    input and kernel are kept.

    Args:
      x: [B, h, w, c].
      kernel: [3, 3, c, channels], dtype of `x`.

    Returns:
      [B, h, w, channels], dtype of `x`.
    """
    x, kernel = jax.lax.optimization_barrier((x, kernel))  # else a loop keeps sums of all kernels
    taps = [jnp.float32(row).reshape(-1, row.shape[-1]) for row in kernel]
    kernels = [combined(weights, taps).astype(x.dtype) for weights in KERNEL]

    def form(padded: Array) -> Array:
        pairs = padded.reshape(len(padded), -1, 2, *padded.shape[2:])
        rows = [jnp.float32(two[:, :, i]) for two in (pairs[:, :-1], pairs[:, 1:]) for i in (0, 1)]
        sums = [combined(weights, rows).astype(x.dtype) for weights in INPUT]
        products = [
            einsum32("bhwk,ko->bhwo", moved(_beside, own), taps)
            for own, taps in zip(sums, kernels, strict=True)
        ]
        made = [combined(weights, products).astype(x.dtype) for weights in OUTPUT]
        return jnp.stack(made, 2).reshape(len(padded), -1, *made[0].shape[2:])

    even = moved(_even, x)
    return in_bands(form, even, 1, BAND, unit=2)[:, : x.shape[1]]


def _even(x: Array) -> Array:
    """With a row of zeros after an odd number of rows."""
    return jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, 0), (0, 0)))


def _beside(rows: Array) -> Array:
    """[B, h, w + 2, c] -> each pixel with its neighbours in the row, [B, h, w, 3c]."""
    width = rows.shape[2] - 2
    return jnp.concatenate([rows[:, :, j : j + width] for j in range(3)], -1)
