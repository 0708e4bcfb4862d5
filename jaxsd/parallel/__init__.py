"""Devices as a mesh, and which parameter lies where on it."""

from jaxsd.parallel.mesh import MESH_AXES, mesh_of
from jaxsd.parallel.rules import AXIS_RULES, PARAM_AXES, param_sharding

__all__ = ["AXIS_RULES", "MESH_AXES", "PARAM_AXES", "mesh_of", "param_sharding"]
