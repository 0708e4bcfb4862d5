"""3x3 convolutions on TPUs, by a kernel of Pallas.

XLA's convolution wants 16 pixels of different images side by side. Of fewer images it makes
strips, which overlap.
"""

from typing import Any

import jax
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsd.nn.processor import split_by_xla
from jaxsd.types import Array

LAYOUT = ("NHWC", "HWIO", "NHWC")


def plain_convolution(x: Array, kernel: Array) -> Array:
    """XLA's 3x3 convolution of stride 1, padded by one."""
    padding = ((1, 1), (1, 1))
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=LAYOUT)


@jax.custom_jvp
def tpu_convolution(x: Array, kernel: Array) -> Array:
    """A 3x3 convolution of stride 1, padded by one, for maps that `convolves` accepts.

    With a derivative it is XLA's, in both modes, so that rematerialisation sees it; so it is where
    XLA splits channels over devices.

    Args:
      x: [B, h, w, c].
      kernel: [3, 3, c, channels], dtype of `x`.

    Returns:
      [B, h, w, channels], dtype of `x`.
    """
    form = plain_convolution if split_by_xla() else _shared
    return jax.lax.platform_dependent(x, kernel, tpu=form, default=plain_convolution)


@tpu_convolution.defjvp
def _tangent(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return jax.jvp(plain_convolution, primals, tangents)


def _kernel(x: Array, kernel: Array) -> Array:
    # Imported here because only programs for TPUs need Pallas, which takes long to import.
    from jaxsd.nn.tpu_convolution_kernel import kernel_convolution

    return kernel_convolution(x, kernel)


def _shardings(mesh: Mesh, args: tuple[Any, ...]) -> tuple[NamedSharding, ...]:
    """Of input, kernel and result: images and output channels may be split, no more."""
    images = (*args[0].sharding.spec, None)[0]
    outputs = (*args[1].sharding.spec, None, None, None, None)[3]
    if images is not None and outputs is not None and set(_axes(images)) & set(_axes(outputs)):
        outputs = None
    specs = ((images,), (None, None, None, outputs), (images, None, None, outputs))
    return tuple(NamedSharding(mesh, PartitionSpec(*spec)) for spec in specs)


def _axes(split: str | tuple[str, ...]) -> tuple[str, ...]:
    return (split,) if isinstance(split, str) else split


def _result_sharding(mesh: Mesh, args: tuple[Any, ...], result: Any) -> NamedSharding:
    return _shardings(mesh, args)[2]


def _partition(mesh: Mesh, args: tuple[Any, ...], result: Any) -> tuple[Any, ...]:
    x, kernel, out = _shardings(mesh, args)
    return mesh, _kernel, out, (x, kernel)


_shared = custom_partitioning(_kernel)
_shared.def_partition(
    infer_sharding_from_operands=_result_sharding,
    partition=_partition,
    sharding_rule="b h w c, i j c o -> b h w o",
)
