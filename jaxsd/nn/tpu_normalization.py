"""Group normalisation that reads its input twice, for TPUs."""

import jax
import jax.numpy as jnp

from jaxsd.types import Array


def group_normalised_at_once(
    groups: int, epsilon: float, x: Array, shift: Array | None, scale: Array, bias: Array
) -> Array:
    """Group normalisation by the sums of x and of its squares, which one fusion adds up.

    Arguments, result and what is lost are those of `gpu_normalization.group_normalised`. It is one
    product and one sum for each number, without a mean that is taken away first.
    """
    x = x.astype(jnp.float32)
    if shift is not None:
        x = x + shift.astype(jnp.float32)[:, None, None]

    def of_group(of_channels: Array) -> Array:
        grouped = of_channels.reshape(len(x), groups, -1)
        means = jnp.broadcast_to(grouped.mean(-1, keepdims=True), grouped.shape)
        return means.reshape(of_channels.shape)

    mean, square = of_group(x.mean((1, 2))), of_group((x * x).mean((1, 2)))
    factor = jax.lax.rsqrt(jnp.maximum(square - mean**2, 0) + epsilon) * scale[None]
    return x * factor[:, None, None] + (bias[None] - mean * factor)[:, None, None]
