"""A mesh of devices with three axes."""

import math
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

MESH_AXES = ("data", "fsdp", "tensor")
"""Copies that see different images; pieces of weights, gathered for use; pieces of layers."""


def mesh_of(shape: Sequence[int] = (-1, 1, 1), devices: Sequence[jax.Device] | None = None) -> Mesh:
    """All devices, or those given, as a mesh over `MESH_AXES`.

    Args:
      shape: devices along each axis; one of them may be -1, for all that are left.

    Raises:
      ValueError: a shape that does not use every device.
    """
    devices = jax.devices() if devices is None else devices
    known = math.prod(n for n in shape if n != -1)
    sizes = [len(devices) // known if n == -1 else n for n in shape] if known > 0 else []
    if len(sizes) != len(MESH_AXES) or min(sizes) < 1 or math.prod(sizes) != len(devices):
        raise ValueError(
            f"mesh {list(shape)} does not fit {len(devices)} devices; give {', '.join(MESH_AXES)} "
            "whose product is that, one of them -1 for what is left"
        )
    kinds = (AxisType.Auto,) * len(sizes)  # JAX's versions differ in what they take by themselves
    return Mesh(np.array(devices).reshape(sizes), MESH_AXES, axis_types=kinds)
