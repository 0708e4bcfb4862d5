"""What is made of a kernel before its eigenvectors are found."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

Times = Callable[[np.ndarray], np.ndarray]
"""The product of the kernel of all points with a vector [N]."""


class Normalization(Protocol):
    """How an operator L K L is made of a kernel K, and coordinates of its eigenvectors.

    `known` is the number of eigenvectors that say nothing; they come first.
    """

    known: int

    def fit(self, times: Times, count: int) -> None:
        """Sums what it needs of the kernel of `count` points."""

    def weighed(self, vector: np.ndarray) -> np.ndarray:
        """L times a vector [N]."""

    def functions(self, vectors: np.ndarray) -> np.ndarray:
        """Values on the points, of eigenvectors [N, C]."""

    def spread(self, kernel: np.ndarray, functions: np.ndarray) -> np.ndarray:
        """What the walk makes of functions at other points, whose kernel is [M, N]."""


class Markov:
    """A random walk, whose probabilities are likenesses divided by powers of the density.

    With alpha 0 density counts in full, as in a graph's Laplacian; with 1 not at all, so that only
    the shape on which points lie matters.
    """

    known = 1  # the constant

    def __init__(self, alpha: float = 1.0) -> None:
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha {alpha} is not in 0 to 1")
        self.alpha = alpha

    def fit(self, times: Times, count: int) -> None:
        """Sums what it needs of the kernel of `count` points."""
        self._share = times(np.ones(count)) ** -self.alpha
        degree = self._share * times(self._share)
        self._weight = self._share / np.sqrt(degree)
        self._constant = np.sqrt(degree / degree.sum())

    def weighed(self, vector: np.ndarray) -> np.ndarray:
        """L times a vector [N]."""
        return self._weight * vector

    def functions(self, vectors: np.ndarray) -> np.ndarray:
        """Values on the points, of eigenvectors [N, C]."""
        return vectors / self._constant[:, None]

    def spread(self, kernel: np.ndarray, functions: np.ndarray) -> np.ndarray:
        """What the walk makes of functions at other points, whose kernel is [M, N]."""
        likely = kernel * self._share
        return likely @ functions / likely.sum(axis=1, keepdims=True)


class Centred:
    """The kernel with its means taken out. Half a step is scikit-learn's KernelPCA."""

    known = 0

    def fit(self, times: Times, count: int) -> None:
        """Sums what it needs of the kernel of `count` points."""
        self._means = times(np.ones(count)) / count

    def weighed(self, vector: np.ndarray) -> np.ndarray:
        """L times a vector [N]."""
        return vector - vector.mean()

    def functions(self, vectors: np.ndarray) -> np.ndarray:
        """Values on the points, of eigenvectors [N, C]."""
        return vectors

    def spread(self, kernel: np.ndarray, functions: np.ndarray) -> np.ndarray:
        """What the walk makes of functions at other points, whose kernel is [M, N]."""
        return (kernel - self._means) @ functions  # whose sum is 0
