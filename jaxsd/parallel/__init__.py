"""Devices as a mesh, where parameters lie on it, and programs that run on all its devices."""

from jaxsd.parallel.mesh import MESH_AXES, mesh_of
from jaxsd.parallel.rules import AXIS_RULES, PARAM_AXES, param_sharding
from jaxsd.parallel.sharing import (
    EVERYWHERE,
    IMAGES,
    IMAGES_SECOND,
    bytes_on_a_device,
    gather,
    images_per_step,
    own_share,
    param_specs,
    per_device,
    place_param,
    placing,
    share,
)

__all__ = [
    "AXIS_RULES",
    "EVERYWHERE",
    "IMAGES",
    "IMAGES_SECOND",
    "MESH_AXES",
    "PARAM_AXES",
    "bytes_on_a_device",
    "gather",
    "images_per_step",
    "mesh_of",
    "own_share",
    "param_sharding",
    "param_specs",
    "per_device",
    "place_param",
    "placing",
    "share",
]
