"""Group normalisation in two or three kernels that read the input twice, for GPUs.

XLA adds up numbers in one kernel if they lie side by side in memory, up to some thousands. Those of
a group do not: it has some channels of every pixel. A transposition before a sum is a kernel of its
own, and so is the sum over each axis, but not a gather. The barrier keeps XLA from writing the
whole input in float32. Which form gives few kernels was found by compiling for an H100.
"""

from functools import partial

import jax
import jax.numpy as jnp

from jaxsd.nn.narrow import largest_divisor
from jaxsd.types import Array

TOGETHER = 2**14
"""Numbers that one kernel adds up. For more XLA takes two."""
PARTS = 64
"""Sums of a group at most, that a kernel then adds up one by one."""

Sums = tuple[Array, Array]
"""Of x and of its squares, over parts of each group: [B, groups, parts] float32."""


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
    parts = jax.lax.optimization_barrier(_sums(groups, x, shift))
    sums, squares = (sum(jnp.moveaxis(own, 2, 0)) for own in parts)
    count = height * width * channels // groups
    mean = sums / count
    deviation = jax.lax.rsqrt(jnp.maximum(squares / count - mean**2, 0) + epsilon)

    def spread(of_groups: Array) -> Array:
        shape = (batch, groups, channels // groups)
        return jnp.broadcast_to(of_groups[:, :, None], shape).reshape(batch, 1, 1, channels)

    x = x.astype(jnp.float32)
    centred = (x if shift is None else x + shift[:, None, None]) - spread(mean)
    # By the deviation first: XLA would give its product with the scale a kernel of its own.
    return centred * spread(deviation) * scale[None, None, None] + bias[None, None, None]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _sums(groups: int, x: Array, shift: Array | None) -> Sums:
    """Of a group's numbers side by side, for images that 32 bits can count the numbers of.

    The derivative is that of the plain form: that of a gather would add up number by number.
    """
    if x.size >= 2**31:
        return _plain_sums(groups, x, shift)
    batch, channels, own = x.shape[0], x.shape[-1], x.shape[-1] // groups
    parts = _parts(groups, x)
    shape = (batch, groups, parts, x.size // (batch * channels * parts), own)
    image, group, part, pixel, channel = (
        jax.lax.broadcasted_iota(jnp.int32, shape, axis) for axis in range(len(shape))
    )
    pixel = (image * parts + part) * shape[3] + pixel
    numbers = pixel * channels + group * own + channel
    x = x.reshape(-1).at[numbers].get(mode="promise_in_bounds").astype(jnp.float32)
    if shift is not None:
        x = x + shift.reshape(batch, groups, 1, 1, own)
    return x.sum((3, 4)), (x * x).sum((3, 4))


@_sums.defjvp
def _tangent(
    groups: int, primals: tuple[Array, Array | None], tangents: tuple[Array, Array | None]
) -> tuple[Sums, Sums]:
    return jax.jvp(partial(_plain_sums, groups), primals, tangents)


def _plain_sums(groups: int, x: Array, shift: Array | None) -> Sums:
    x = x.astype(jnp.float32)
    x = x if shift is None else x + shift[:, None, None]
    batch, channels = x.shape[0], x.shape[-1]
    x = x.reshape(batch, _parts(groups, x), -1, groups, channels // groups)
    sums, squares = x.sum((2, 4)), (x * x).sum((2, 4))
    return sums.swapaxes(1, 2), squares.swapaxes(1, 2)


def _parts(groups: int, x: Array) -> int:
    """In how many parts the pixels of [B, h, w, c] are added up."""
    pixels = x.shape[1] * x.shape[2]
    parts = pixels // largest_divisor(pixels, TOGETHER * groups // x.shape[-1])
    return parts if parts <= PARTS else 1
