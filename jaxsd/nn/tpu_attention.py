"""Attention to many keys on TPUs, by kernels of Pallas."""

import jax.numpy as jnp

from jaxsd.nn.plain_attention import attention_by_size
from jaxsd.nn.shared_kernel import IMAGES, PARTS, shared_kernel
from jaxsd.nn.tpu_blocks import LANES, fits
from jaxsd.types import Array

_BLOCK = 512
_HEADS = (IMAGES, None, PARTS, None)


def tpu_attention(q: Array, k: Array, v: Array) -> Array:
    """The form for bfloat16 whose blocks fit the chip, else `attention_by_size`.

    Keys that lie in vector memory whole are attended to by a kernel of ours, more by JAX's
    flash attention.
    """
    if q.dtype != jnp.bfloat16:
        return attention_by_size(q, k, v)
    if fits(k.shape[1], *q.shape[2:]):
        return _shared_kernel(q, k, v)
    blocks = q.shape[1] % _BLOCK == 0 and k.shape[1] % _BLOCK == 0
    if not blocks or q.shape[-1] > LANES:
        return attention_by_size(q, k, v)
    return _shared_flash(q, k, v)


def _kernel(q: Array, k: Array, v: Array) -> Array:
    # Imported here because only programs for TPUs need Pallas, which takes long to import.
    from jaxsd.nn.tpu_kernel import kernel_attention

    return kernel_attention(q, k, v)


def _flash(q: Array, k: Array, v: Array) -> Array:
    from jax.experimental.pallas.ops.tpu.flash_attention import BlockSizes, flash_attention

    width = q.shape[-1]
    blocks = BlockSizes(block_q=_BLOCK, block_k_major=_BLOCK, block_k=_BLOCK, block_b=1)
    fill = ((0, 0), (0, 0), (0, 0), (0, LANES - width))
    q, k, v = (jnp.pad(jnp.swapaxes(a, 1, 2), fill) for a in (q, k, v))
    out = flash_attention(q, k, v, sm_scale=width**-0.5, block_sizes=blocks)
    return jnp.swapaxes(out, 1, 2)[..., :width]


_shared_kernel = shared_kernel(_kernel, (_HEADS,) * 3, _HEADS)
_shared_flash = shared_kernel(_flash, (_HEADS,) * 3, _HEADS)
