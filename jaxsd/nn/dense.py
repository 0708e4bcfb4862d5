"""Matrix products that accumulate in float32, and the dense layer built on them."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype

from jaxsd.nn.int8 import Int8, is_narrow, widened
from jaxsd.nn.layers import Dense
from jaxsd.nn.processor import multiplies_bfloat16
from jaxsd.types import Array

Initializer = nn.initializers.Initializer


def dot_general(x: Array, y: Array, dimensions: Any, precision: Any = None) -> Array:
    """`jax.lax.dot_general` in the dtype of `x`, accumulated in float32 where that is fast."""
    wanted = jnp.float32 if multiplies_bfloat16() else None
    out = jax.lax.dot_general(x, y, dimensions, precision, preferred_element_type=wanted)
    return out.astype(x.dtype)


def einsum32(subscripts: str, x: Array, y: Array) -> Array:
    """`jnp.einsum` of two arrays with a float32 result, in this processor's faster dtype."""
    if not multiplies_bfloat16():
        x, y = x.astype(jnp.float32), y.astype(jnp.float32)
    return jnp.einsum(subscripts, x, y, preferred_element_type=jnp.float32)


def in_dtype(
    x: Array, kernel: Array | Int8, bias: Array | None, *, dtype: jnp.dtype
) -> list[Array | None]:
    """Input and parameters of a layer in the dtype to compute in.

    A kernel in a narrower dtype is widened only when the input is ready. Otherwise XLA would widen
    the kernels of a whole network before a loop, and keep them all.
    """
    if is_narrow(kernel, dtype):
        x, kernel = jax.lax.optimization_barrier((x, kernel))
    if isinstance(kernel, Int8):
        kernel = widened(kernel, dtype)
    return promote_dtype(x, kernel, bias, dtype=dtype)


def dense(
    width: int,
    name: str,
    dtype: jnp.dtype,
    *,
    use_bias: bool = True,
    kernel_init: Initializer = nn.linear.default_kernel_init,
) -> Dense:
    """A dense layer over the last axis; its parameters have this name."""
    return Dense(
        width,
        use_bias=use_bias,
        dtype=dtype,
        kernel_init=kernel_init,
        dot_general=dot_general,
        promote_dtype=in_dtype,
        name=name,
    )
