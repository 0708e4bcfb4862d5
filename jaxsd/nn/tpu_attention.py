"""Attention to many keys on TPUs, by kernels of Pallas."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsd.nn.plain_attention import attention_by_size
from jaxsd.nn.processor import split_by_xla
from jaxsd.nn.tpu_blocks import LANES, fits
from jaxsd.types import Array

_BLOCK = 512


def tpu_attention(q: Array, k: Array, v: Array) -> Array:
    """The form for bfloat16 whose blocks fit the chip, else `attention_by_size`, as where XLA
    splits heads over devices.

    Keys that lie in vector memory whole are attended to by a kernel of ours, more by JAX's
    flash attention.
    """
    if q.dtype != jnp.bfloat16 or split_by_xla():
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


def _sharding(mesh: Mesh, args: tuple[Any, ...], result: Any) -> NamedSharding:
    """Images and heads may be split over devices; tokens and their widths may not."""
    spec = (*args[0].sharding.spec, None, None, None, None)[:4]
    return NamedSharding(mesh, PartitionSpec(spec[0], None, spec[2], None))


def _partition(form: Callable[..., Array]) -> Callable[..., tuple[Any, ...]]:
    """How `form` is computed of arrays that devices share: by each for its images and heads."""

    def partition(mesh: Mesh, args: tuple[Any, ...], result: Any) -> tuple[Any, ...]:
        sharding = _sharding(mesh, args, result)
        return mesh, form, sharding, (sharding,) * 3

    return partition


def _shared(form: Callable[..., Array]) -> custom_partitioning:
    """`form` for arrays that devices share: XLA cannot split a kernel of Pallas by itself."""
    shared = custom_partitioning(form)
    shared.def_partition(
        infer_sharding_from_operands=_sharding,
        partition=_partition(form),
        sharding_rule="b l h d, b m h d, b m h d -> b l h d",
    )
    return shared


_shared_kernel, _shared_flash = _shared(_kernel), _shared(_flash)
