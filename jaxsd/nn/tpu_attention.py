"""Flash attention on TPUs, by the kernel that comes with JAX."""

from typing import Any

import jax.numpy as jnp
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsd.nn.plain_attention import attention_by_size
from jaxsd.types import Array

FLASH = 4096
"""Keys from which flash attention is faster, although it pads heads with zeros."""

_LANES, _BLOCK = 128, 512


def tpu_attention(q: Array, k: Array, v: Array) -> Array:
    """Flash attention for bfloat16 from `FLASH` keys if blocks fit, else `attention_by_size`."""
    whole = q.shape[1] % _BLOCK == 0 and k.shape[1] % _BLOCK == 0
    if k.shape[1] < FLASH or not whole or q.dtype != jnp.bfloat16 or q.shape[-1] > _LANES:
        return attention_by_size(q, k, v)
    return _shared_flash(q, k, v)


def _flash(q: Array, k: Array, v: Array) -> Array:
    # Imported here because only programs for TPUs need Pallas, which takes long to import.
    from jax.experimental.pallas.ops.tpu.flash_attention import BlockSizes, flash_attention

    width = q.shape[-1]
    blocks = BlockSizes(block_q=_BLOCK, block_k_major=_BLOCK, block_k=_BLOCK, block_b=1)
    fill = ((0, 0), (0, 0), (0, 0), (0, _LANES - width))
    q, k, v = (jnp.pad(jnp.swapaxes(a, 1, 2), fill) for a in (q, k, v))
    out = flash_attention(q, k, v, sm_scale=width**-0.5, block_sizes=blocks)
    return jnp.swapaxes(out, 1, 2)[..., :width]


def _sharding(mesh: Mesh, args: tuple[Any, ...], result: Any) -> NamedSharding:
    """Images and heads may be split over devices; tokens and their widths may not."""
    spec = (*args[0].sharding.spec, None, None, None, None)[:4]
    return NamedSharding(mesh, PartitionSpec(spec[0], None, spec[2], None))


def _partition(mesh: Mesh, args: tuple[Any, ...], result: Any) -> tuple[Any, ...]:
    sharding = _sharding(mesh, args, result)
    return mesh, _flash, sharding, (sharding,) * 3


# XLA can not split a kernel of Pallas by itself.
_shared_flash = custom_partitioning(_flash)
_shared_flash.def_partition(
    infer_sharding_from_operands=_sharding,
    partition=_partition,
    sharding_rule="b l h d, b m h d, b m h d -> b l h d",
)
