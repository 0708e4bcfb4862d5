"""Interpolating polynomials, whose integrals are the weights of multistep methods."""

import math

import numpy as np
from numpy.polynomial import Polynomial


def lagrange_basis(nodes: np.ndarray) -> list[Polynomial]:
    """Polynomials of degree len(nodes) - 1: number k is 1 at node k and 0 at the others."""
    basis = []
    for k, node in enumerate(nodes):
        others = np.delete(nodes, k)
        factors = (Polynomial([-other, 1.0]) / (node - other) for other in others)
        basis.append(math.prod(factors, start=Polynomial([1.0])))
    return basis
