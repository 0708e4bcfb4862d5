"""Attention as in its equation, and the same by blocks of queries."""

import jax
import jax.numpy as jnp

from jaxsd.types import Array

WRITABLE = 4096
"""Keys up to which accelerators write out all logits; above, those of WRITABLE / 4 queries."""


def plain_attention(q: Array, k: Array, v: Array, mask: Array | None = None) -> Array:
    """Attention that writes all logits out; see `attention` for arguments and result."""
    scale = q.shape[-1] ** -0.5
    logits = jnp.einsum("blhd,bmhd->bhlm", q * scale, k, preferred_element_type=jnp.float32)
    if mask is not None:
        own = mask[None] if mask.ndim == 2 else mask
        logits = jnp.where(own[:, None], logits, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(logits, axis=-1).astype(v.dtype)
    out = jnp.einsum("bhlm,bmhd->blhd", weights, v, preferred_element_type=jnp.float32)
    return out.astype(q.dtype)


def blockwise_attention(q: Array, k: Array, v: Array) -> Array:
    """Plain attention for some queries at a time; its gradient recomputes the logits."""
    queries = min(q.shape[1], WRITABLE // 4)
    blocks = jnp.moveaxis(split_queries(q, queries), 1, 0)
    out = jax.lax.map(jax.checkpoint(lambda block: plain_attention(block, k, v)), blocks)
    return join_queries(jnp.moveaxis(out, 0, 1), q.shape[1])


def attention_by_size(q: Array, k: Array, v: Array) -> Array:
    """Plain attention where the logits are not too many, else by blocks of queries."""
    if k.shape[1] <= WRITABLE:
        return plain_attention(q, k, v)
    return blockwise_attention(q, k, v)


def split_queries(q: Array, queries: int) -> Array:
    """[B, L, heads, d] -> [B, n, queries, heads, d], padded with zeros at the end."""
    q = jnp.pad(q, ((0, 0), (0, -q.shape[1] % queries), (0, 0), (0, 0)))
    return q.reshape(q.shape[0], -1, queries, *q.shape[2:])


def join_queries(blocks: Array, length: int) -> Array:
    """[B, n, queries, heads, d] -> [B, length, heads, d], the reverse of `split_queries`."""
    return blocks.reshape(blocks.shape[0], -1, *blocks.shape[3:])[:, :length]
