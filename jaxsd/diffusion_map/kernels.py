"""Kernels, which say how alike points are, and their products with vectors."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.types import Array

Kernel = Callable[[Array, Array], Array]
"""Likeness [M, N] of points [M, D] and [N, D]; of a set with itself it is symmetric."""
_SOME = 1_000
"""Points whose distances decide the width of a kernel."""
_ROUNDING = 1e-6
"""Of the largest distance: less is none."""


class Gaussian:
    """The kernel exp(-gamma |x - y|^2); scikit-learn's "rbf".

    Objects with the same `gamma` are equal, so a program is compiled once.
    """

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def __call__(self, x: Array, y: Array) -> Array:
        """Likeness [M, N] of points [M, D] and [N, D]."""
        return jnp.exp(-self.gamma * squared_distances(x, y))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Gaussian) and other.gamma == self.gamma

    def __hash__(self) -> int:
        return hash(self.gamma)


def squared_distances(x: Array, y: Array) -> Array:
    """[M, N] of points [M, D] and [N, D]."""
    middle = y.mean(0)[None]  # far from zero, float32 would lose what is near
    x, y = x - middle, y - middle
    lengths = (x**2).sum(-1)[:, None] + (y**2).sum(-1)[None, :]
    return jnp.maximum(lengths - 2 * x @ y.T, 0)


@partial(jax.jit, static_argnames=("kernel", "block"))
def product(kernel: Kernel, points: Array, vector: Array, *, block: int) -> Array:
    """The kernel of points [N, D] with themselves times a vector [N], `block` rows at a time."""

    def of_row(point: Array) -> Array:
        return kernel(point[None], points)[0] @ vector.astype(points.dtype)

    return jax.lax.map(of_row, points, batch_size=min(block, len(points)))


def median_distance(points: np.ndarray) -> float:
    """The median of squared distances of points [N, D] that differ, of some if there are many.

    Raises:
      ValueError: all are the same.
    """
    some = points[:: -(-len(points) // _SOME)]
    apart = np.asarray(squared_distances(some, some))[np.triu_indices(len(some), 1)]
    apart = apart[apart > _ROUNDING * apart.max()]
    if not apart.size:
        raise ValueError("all points are the same, so there is nothing to lay out")
    return float(np.median(apart))
