"""Flash attention of cuDNN."""

import jax

from jaxsd.nn.plain_attention import attention_by_size
from jaxsd.types import Array


def cudnn_attention(q: Array, k: Array, v: Array) -> Array:
    """Flash attention of cuDNN if it supports these shapes and dtype, else `attention_by_size`.

    It does not support float32 and, before Hopper, heads wider than 128; jax then raises.
    """
    try:
        return jax.nn.dot_product_attention(q, k, v, implementation="cudnn")
    except (NotImplementedError, RuntimeError):
        return attention_by_size(q, k, v)
