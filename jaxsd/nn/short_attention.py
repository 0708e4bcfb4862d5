"""Attention to few keys: plain, and on CUDA by one kernel."""

import jax

from jaxsd.nn.cudnn_attention import cudnn_attention
from jaxsd.nn.plain_attention import plain_attention
from jaxsd.types import Array


@jax.custom_jvp
def short_attention(q: Array, k: Array, v: Array) -> Array:
    """Attention to few keys without a mask; see `attention` for arguments and result.

    The derivative is that of the plain form, as in `long_attention`.
    """
    return jax.lax.platform_dependent(q, k, v, cuda=cudnn_attention, default=plain_attention)


@short_attention.defjvp
def _tangent(
    primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    return jax.jvp(plain_attention, primals, tangents)
