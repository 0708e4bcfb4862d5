"""Attention as one kernel of Pallas, whose keys and values lie whole in a TPU's vector memory."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from jaxsd.nn.tpu_blocks import LIMIT, block_of_heads, block_of_queries
from jaxsd.types import Array


def kernel_attention(q: Array, k: Array, v: Array, *, interpret: bool = False) -> Array:
    """Attention without a mask; logits never leave the chip.

    Arrays keep the layout that dense layers give them, [B, L, heads * d]: heads are cut in the
    kernel, so nothing is transposed or padded in memory. The matrix unit itself fills heads to 128
    numbers, which `cost_analysis` does not count.

    Args:
      q: [B, L, heads, d] queries.
      k: [B, M, heads, d] keys; `fits` says how many.
      v: [B, M, heads, d] values.
      interpret: run by JAX's operations, on any device.

    Returns:
      [B, L, heads, d], dtype of `q`.
    """
    batch, length, heads, width = q.shape
    keys, whole = k.shape[1], heads * width
    lanes, rows = block_of_heads(heads, width), block_of_queries(length, keys)
    queries = pl.BlockSpec((1, rows, lanes), lambda b, h, i: (b, i, h))
    # They change with image and heads alone, so a second buffer would wait most of the time.
    kept = pl.BlockSpec((1, keys, lanes), lambda b, h, i: (b, 0, h), pipeline_mode=pl.Buffered(1))
    logits = batch * heads * length * keys
    out = pl.pallas_call(
        partial(_attend, width),
        grid=(batch, math.ceil(whole / lanes), math.ceil(length / rows)),
        in_specs=[queries, kept, kept],
        out_specs=queries,
        out_shape=jax.ShapeDtypeStruct((batch, length, whole), q.dtype),
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel",) * 3, vmem_limit_bytes=LIMIT
        ),
        cost_estimate=pl.CostEstimate(
            flops=4 * logits * width,
            transcendentals=logits,
            bytes_accessed=2 * batch * (length + keys) * whole * q.dtype.itemsize,
        ),
        interpret=interpret,
    )(*(a.reshape(batch, a.shape[1], whole) for a in (q, k, v)))
    return out.reshape(q.shape)


def _attend(width: int, q: Array, k: Array, v: Array, out: Array) -> None:
    """Softmax(q k^T / sqrt(d)) v of each head of a block; references to [1, tokens, lanes].

    The last block may reach beyond the arrays: what is computed there is not written.
    """
    for first in range(0, q.shape[2], width):
        head = (0, slice(None), pl.ds(first, width))
        scaled = (q[head] * width**-0.5).astype(q.dtype)
        logits = jax.lax.dot_general(
            scaled, k[head], (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32
        )
        weights = jnp.exp(logits - logits.max(1, keepdims=True))
        summed = jnp.dot(weights.astype(v.dtype), v[head], preferred_element_type=jnp.float32)
        out[head] = (summed / weights.sum(1, keepdims=True)).astype(out.dtype)
