"""Diffusion maps: points of any dimension laid out by how a random walk between them spreads.

Coifman and Lafon, "Diffusion maps" (2006). A kernel says how alike two points are, and a symmetric
operator S = L K L is made of it. With S = U diag(l) U^T, t steps are U diag(l^t) U^T, so any number
of steps, and parts of one, cost the same.
"""

from jaxsd.diffusion_map.estimator import DiffusionMap
from jaxsd.diffusion_map.kernels import Gaussian, Kernel, squared_distances
from jaxsd.diffusion_map.normalizations import Centred, Markov, Normalization

__all__ = [
    "Centred",
    "DiffusionMap",
    "Gaussian",
    "Kernel",
    "Markov",
    "Normalization",
    "squared_distances",
]
