"""Attention to many keys; the platform that a program is lowered for decides how it runs."""

import jax
import jax.numpy as jnp

from jaxsd.nn.cudnn_attention import cudnn_attention
from jaxsd.nn.dense import einsum32
from jaxsd.nn.plain_attention import (
    attention_by_size,
    blockwise_attention,
    join_queries,
    split_queries,
)
from jaxsd.nn.processor import multiplies_bfloat16
from jaxsd.nn.tpu_attention import tpu_attention
from jaxsd.types import Array

LOGITS = 2_400_000
"""Logits that a CPU computes at a time, all images together. Twice as many took twice as long: they
are read three times, and have to stay in the cache.
"""


@jax.custom_jvp
def long_attention(q: Array, k: Array, v: Array) -> Array:
    """Attention to many keys without a mask; see `attention` for arguments and result.

    Kernels with their own reverse-mode rule do not support forward mode, so the derivative is
    computed by a version in blocks. In both modes it recomputes the logits.
    """
    return jax.lax.platform_dependent(
        q,
        k,
        v,
        cpu=transposed_attention,
        cuda=cudnn_attention,
        tpu=tpu_attention,
        default=attention_by_size,
    )


@long_attention.defjvp
def _tangent(
    primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    def formulation(q: Array, k: Array, v: Array) -> Array:
        return jax.lax.platform_dependent(
            q, k, v, cpu=transposed_attention, default=blockwise_attention
        )

    return long_attention(*primals), jax.jvp(formulation, primals, tangents)[1]


def transposed_attention(q: Array, k: Array, v: Array) -> Array:
    """Attention with logits [keys, queries], one head and some queries at a time.

    The maximum and the exponential then run along rows that lie in the cache. Values are extended
    by ones, so that the second product has the softmax's denominator as one more row, or as several
    where bfloat16 is multiplied, since 48 rows took 0.77 of the time of 41 there. The batch is not
    split here, so that it can be split over devices.
    """
    batch, length, _, width = q.shape
    fit = LOGITS // (batch * k.shape[1]) // 64 * 64
    queries = max(64, min(128, fit, length))
    ones = 8 - width % 8 if v.dtype == jnp.bfloat16 and multiplies_bfloat16() else 1
    q = jnp.transpose(split_queries(q * width**-0.5, queries), (3, 1, 0, 4, 2))
    k, v = jnp.transpose(k, (2, 0, 1, 3)), jnp.transpose(v, (2, 0, 3, 1))
    v = jnp.pad(v, ((0, 0), (0, 0), (0, ones), (0, 0)), constant_values=1)

    def head(qkv: tuple[Array, Array, Array]) -> Array:
        q, k, v = qkv  # [n, B, d, queries], [B, keys, d], [B, d + ones, keys]

        @jax.checkpoint
        def some(q: Array) -> Array:
            logits = einsum32("bmd,bdq->bmq", k, q)
            largest = jax.lax.stop_gradient(logits.max(axis=1, keepdims=True))
            weights = jnp.exp(logits - largest).astype(v.dtype)
            out = einsum32("bem,bmq->beq", v, weights)
            return (out[:, :width] / out[:, -1:]).astype(q.dtype)

        return jax.lax.map(some, q)

    out = jax.lax.map(head, (q, k, v))  # [heads, n, B, d, queries]
    return join_queries(jnp.transpose(out, (2, 1, 4, 0, 3)), length)
