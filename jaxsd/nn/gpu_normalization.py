"""Group normalisation in two or three kernels that read the input twice, for GPUs.

The barriers are where XLA would otherwise write the whole input in float32, or make a kernel of its
own of each sum. Which form gives few kernels was found by compiling for an H100.
"""

import jax
import jax.numpy as jnp

from jaxsd.types import Array

SMALL = 256
"""Pixels up to which one kernel adds up pixels and the channels of a group."""
PARTS = 8
"""Sums of a group that the last kernel then adds up by itself."""
ROW = 32
"""Channels of a group from which XLA adds them up as rows."""

Sums = tuple[Array, Array]
"""Of x and of its squares, over each group: [B, groups] float32."""


def group_normalised(
    groups: int, epsilon: float, x: Array, shift: Array | None, scale: Array, bias: Array
) -> Array:
    """Group normalisation by the sums of x and of its squares.

    The variance is E[x^2] - E[x]^2, which loses bits where the mean is large. But x is bfloat16:
    what its rounding adds to the variance is larger than what float32 loses of the squares.

    Args:
      groups: of channels.
      epsilon: see `GroupNorm`.
      x: [B, h, w, c] bfloat16.
      shift: [B, c] bfloat16 to add to x, or None.
      scale: [c].
      bias: [c].

    Returns:
      [B, h, w, c] float32.
    """
    batch, height, width, channels = x.shape
    if shift is not None:  # otherwise a convolution before it adds a shift as large as x
        x, shift = jax.lax.optimization_barrier(x), shift.astype(jnp.float32)
    x = x.astype(jnp.float32)
    small = height * width <= SMALL and height * width % PARTS == 0
    sums, squares = (_sums_in_parts if small else _sums)(groups, x, shift)
    count = height * width * channels // groups
    mean = sums / count
    deviation = jax.lax.rsqrt(jnp.maximum(squares / count - mean**2, 0) + epsilon)
    if not small and channels // groups < ROW:
        mean, deviation = jax.lax.optimization_barrier((mean, deviation))

    def spread(of_groups: Array) -> Array:
        shape = (batch, groups, channels // groups)
        return jnp.broadcast_to(of_groups[:, :, None], shape).reshape(batch, 1, 1, channels)

    centred = _shifted(x, shift) - spread(mean)
    return centred * (spread(deviation) * scale[None, None, None]) + bias[None, None, None]


def _shifted(x: Array, shift: Array | None) -> Array:
    return x if shift is None else x + shift[:, None, None]


def _sums(groups: int, x: Array, shift: Array | None) -> Sums:
    """Over pixels in one kernel, over the channels of groups in another."""
    shape, pixels = (x.shape[0], groups, x.shape[-1] // groups), x.shape[1] * x.shape[2]
    sums, squares = x.sum((1, 2)), (x * x).sum((1, 2))
    if shape[-1] < ROW:
        sums, squares = jax.lax.optimization_barrier((sums, squares))
    if shift is not None:
        squares = squares + shift * (2 * sums + pixels * shift)
        sums = sums + pixels * shift
    sums, squares = sums.reshape(shape), squares.reshape(shape)
    if shape[-1] < ROW:
        return sums.sum(-1), squares.sum(-1)
    zero = jnp.float32(0)
    return jax.lax.reduce((sums, squares), (zero, zero), _added, (2,))


def _sums_in_parts(groups: int, x: Array, shift: Array | None) -> Sums:
    """Over channels of groups and the pixels of a part in one kernel, over parts in the next."""
    batch, channels = x.shape[0], x.shape[-1]
    pixels = jnp.moveaxis(_shifted(x, shift).reshape(batch, PARTS, -1, channels), 2, 0)
    shape = (batch, PARTS, groups, channels // groups)
    sums, squares = sum(pixels), sum(one * one for one in pixels)
    parts = sums.reshape(shape).sum(-1), squares.reshape(shape).sum(-1)
    sums, squares = jax.lax.optimization_barrier(parts)
    return sum(jnp.moveaxis(sums, 1, 0)), sum(jnp.moveaxis(squares, 1, 0))


def _added(one: Sums, other: Sums) -> Sums:
    return one[0] + other[0], one[1] + other[1]
