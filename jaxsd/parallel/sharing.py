"""Images and weights split over a mesh, and programs that run on each device's share.

Images are split over "data" and "fsdp". Every device runs the whole program on its own images, so
that only weights pass between devices: a device gathers the pieces of a network that lie along
"fsdp" when the network runs (Rajbhandari et al. 2020, ZeRO stage 3). The compiler handles what is
split over "tensor", and adds the sums.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import global_array_to_host_local_array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsd.parallel.mesh import MESH_AXES
from jaxsd.parallel.rules import AXIS_RULES, param_sharding, param_spec
from jaxsd.types import Array, Params

BATCH_AXES = ("data", "fsdp")
EVERYWHERE = PartitionSpec()
"""The same on every device."""
IMAGES = PartitionSpec(BATCH_AXES)
"""Split along the first axis, which counts images."""
IMAGES_SECOND = PartitionSpec(None, BATCH_AXES)
"""Split along the second axis."""


def images_per_step(mesh: Mesh) -> int:
    """How many devices take images of their own: every batch is a multiple of it."""
    return int(np.prod([mesh.shape[axis] for axis in BATCH_AXES]))


def place_param(mesh: Mesh, path: str, array: np.ndarray) -> Array:
    """A parameter on the mesh, split over devices; each of several hosts fills its own devices.

    Raises:
      ValueError: see `param_sharding`.
    """
    sharding = param_sharding(path, array.shape, mesh)
    return jax.make_array_from_callback(array.shape, sharding, lambda piece: array[piece])


def on_device(path: str, array: np.ndarray) -> Array:
    """A parameter on JAX's default device; on a CPU, in the memory that it was read into."""
    del path
    return jax.device_put(array, may_alias=True)


def placing(mesh: Mesh | None) -> Callable[[str, np.ndarray], Array]:
    """The function that places parameters by their paths: on the mesh, or the default device."""
    return on_device if mesh is None else partial(place_param, mesh)


def share(tree: Any, mesh: Mesh, axis: int = 0) -> Any:
    """Arrays of this host as arrays of all hosts, split along the axis that counts images.

    Args:
      tree: arrays [B, ...], or [S, B, ...].
      mesh: mesh of all hosts.
      axis: 0 or 1.

    Raises:
      ValueError: B cannot be split equally.
    """
    sharding = NamedSharding(mesh, (IMAGES, IMAGES_SECOND)[axis])
    here = images_per_step(mesh) * mesh.local_mesh.size // mesh.size

    def one(array: Array) -> Array:
        if array.shape[axis] % here:
            raise ValueError(
                f"a batch of {array.shape[axis]} cannot be shared out to {here} devices, the mesh "
                f"is {dict(mesh.shape)}; ask for a multiple of {here}"
            )
        return jax.make_array_from_process_local_data(sharding, np.asarray(array))

    return jax.tree.map(one, tree)


def own_share(tree: Any, specs: Any, mesh: Mesh) -> Any:
    """The part that lies on the devices of this host, in the order in which it gave the images."""
    if not mesh.is_multi_process:
        return tree
    return global_array_to_host_local_array(tree, mesh, specs)


def per_device(
    mesh: Mesh | None,
    function: Callable[..., Any],
    in_specs: tuple[Any, ...],
    out_specs: Any,
) -> Callable[..., Any]:
    """`function`, run by each device on its share of the arguments; unchanged without a mesh.

    Weights are given with `param_specs`, and gathered inside by `gather`.
    """
    if mesh is None:
        return function
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=in_specs,
        out_specs=out_specs,
        axis_names=_by_hand(mesh),
        check_vma=False,  # the check treats zeros made inside as replicated, which scan refuses
    )


def param_specs(params: Params, mesh: Mesh | None) -> Any:
    """How `per_device` splits a pipeline's parameters."""
    if mesh is None:
        return EVERYWHERE

    def spec(path: tuple[Any, ...], leaf: Array) -> PartitionSpec:
        axes = param_spec(path_name(path), leaf.shape, AXIS_RULES)
        return PartitionSpec(*(axis if axis in _by_hand(mesh) else None for axis in axes))

    return jax.tree_util.tree_map_with_path(spec, params)


def gather(tree: Params, prefix: str, mesh: Mesh | None) -> Params:
    """All of a network's parameters, inside `per_device`; `prefix` is `unet`, `text/0`, ..."""
    if mesh is None or mesh.shape["fsdp"] == 1:
        return tree

    def whole(path: tuple[Any, ...], leaf: Array) -> Array:
        axes = tuple(param_spec(f"{prefix}/{path_name(path)}", leaf.shape, AXIS_RULES))
        if "fsdp" not in axes:
            return leaf
        return jax.lax.all_gather(leaf, "fsdp", axis=axes.index("fsdp"), tiled=True)

    return jax.tree_util.tree_map_with_path(whole, tree)


def bytes_on_a_device(tree: Any) -> int:
    """Bytes that each device has of arrays, or of shapes with shardings."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def path_name(path: tuple[Any, ...]) -> str:
    """A path of jax as a name, such as `unet/conv_in/kernel`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _by_hand(mesh: Mesh) -> frozenset[str]:
    """The axes whose devices run on their own: all, except "tensor" where it is used."""
    return frozenset(BATCH_AXES if mesh.shape["tensor"] > 1 else MESH_AXES)
