"""Kernels of Pallas for arrays that devices share."""

import math
from collections.abc import Callable, Sequence

import jax
from jax.sharding import AxisType, PartitionSpec

from jaxsd.types import Array

IMAGES, PARTS = "images", "parts"
Split = tuple[str | None, ...]
"""What each axis of an array counts: `IMAGES`, `PARTS` of a layer, None for what stays whole."""

TENSOR = "tensor"
"""The axis of a mesh along which layers are split. Along all others images are."""


def shared_kernel(
    form: Callable[..., Array], splits: Sequence[Split], result: Split
) -> Callable[..., Array]:
    """`form`, which each device computes for its images and its parts of a layer.

    XLA cannot split a kernel of Pallas by itself, and libtpu has no custom partitioning. So the
    mesh has to be known when a program is traced: inside `jax.shard_map` it is, elsewhere
    `jax.sharding.use_abstract_mesh` says it. Without a mesh it is `form` alone. What cannot be
    split equally every device has whole.

    Args:
      form: of arrays to an array.
      splits: of each array.
      result: of what `form` gives.
    """

    def run(*arrays: Array) -> Array:
        mesh = jax.sharding.get_abstract_mesh()
        free = [
            axis
            for axis, kind in zip(mesh.axis_names, mesh.axis_types, strict=True)
            if kind == AxisType.Auto
        ]
        if math.prod(mesh.shape[axis] for axis in free) == 1:
            return form(*arrays)
        axes = {
            IMAGES: tuple(axis for axis in free if axis != TENSOR),
            PARTS: tuple(axis for axis in free if axis == TENSOR),
        }
        for array, split in zip(arrays, splits, strict=True):
            for size, counted in zip(array.shape, split, strict=True):
                if counted and size % math.prod(mesh.shape[axis] for axis in axes[counted]):
                    axes[counted] = ()

        def spec(split: Split) -> PartitionSpec:
            return PartitionSpec(*(axes[counted] or None if counted else None for counted in split))

        in_specs = tuple(map(spec, splits))
        # Kernels of Pallas do not say along which axes their results differ.
        return jax.shard_map(
            form, in_specs=in_specs, out_specs=spec(result), axis_names=set(free), check_vma=False
        )(*arrays)

    return run
