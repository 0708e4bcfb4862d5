"""The estimator."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from jaxsd.diffusion_map.kernels import Gaussian, Kernel, median_distance, product
from jaxsd.diffusion_map.normalizations import Markov, Normalization

_TOLERANCE = 1e-7
"""Of eigenvalues, relative: kernels are of float32."""


class DiffusionMap:
    """Coordinates of points by diffusion, in the manner of scikit-learn's estimators.

    Args:
      n_components: coordinates of a point.
      steps: how long the walk is, at least 0; parts count too. Coordinate c is l_c^steps times a
        function on the points, so long walks leave the coarse shape.
      kernel: None for a `Gaussian` whose gamma is 1 over the median of squared distances.
      normalization: a `Markov` walk, unless given, or `Centred`.
      block: rows of the kernel that lie in memory at once; all of it, N x N, never does.

    Attributes after `fit`:
      kernel_: the kernel.
      eigenvalues_: [n_components], falling, at least 0.
      functions_: [N, n_components], functions on the points, before the steps.
      embedding_: [N, n_components].
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        steps: float = 1.0,
        kernel: Kernel | None = None,
        normalization: Normalization | None = None,
        block: int = 256,
    ) -> None:
        if n_components < 1 or block < 1:
            raise ValueError(f"n_components {n_components} and block {block} must be 1 or more")
        if not steps >= 0:
            raise ValueError(f"steps {steps} must be 0 or more")
        self.n_components, self.steps, self.kernel, self.block = n_components, steps, kernel, block
        self.normalization = normalization or Markov()

    def fit(self, points: np.ndarray, y: None = None) -> "DiffusionMap":
        """Finds the eigenvectors of points [N, D].

        Raises:
          ValueError: too few points for so many components, or values that are not finite.
        """
        del y  # scikit-learn gives it to all
        known, wanted = self.normalization.known, self.n_components + self.normalization.known
        points = _checked(points, least=wanted + 1)
        self.kernel_ = self.kernel or Gaussian(1 / median_distance(points))
        self._points = points
        self.normalization.fit(self._times, len(points))

        def operated(vector: np.ndarray) -> np.ndarray:
            weighed = self.normalization.weighed(vector.ravel())
            return self.normalization.weighed(self._times(weighed))

        operator = LinearOperator((len(points),) * 2, matvec=operated, dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(len(points))
        values, vectors = eigsh(operator, wanted, which="LA", v0=start, tol=_TOLERANCE)
        falling = np.argsort(-values)[known:]
        self.eigenvalues_ = np.maximum(values[falling], 0)  # less is rounding of a Gaussian's
        vectors = vectors[:, falling]
        vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        self.functions_ = self.normalization.functions(vectors)
        self.embedding_ = self.functions_ * self.eigenvalues_**self.steps
        return self

    def fit_transform(self, points: np.ndarray, y: None = None) -> np.ndarray:
        """`fit`, and the coordinates [N, n_components]."""
        return self.fit(points, y).embedding_

    def transform(self, points: np.ndarray) -> np.ndarray:
        """Coordinates [M, n_components] of other points [M, D], by Nystrom's extension."""
        points = _checked(points, least=1)
        if points.shape[1] != self._points.shape[1]:
            raise ValueError(
                f"points of {points.shape[1]} values; those of fit have {self._points.shape[1]}"
            )
        found = [
            self.normalization.spread(np.asarray(self.kernel_(some, self._points)), self.functions_)
            for some in np.array_split(points, range(self.block, len(points), self.block))
        ]
        last = np.zeros_like(self.eigenvalues_)  # the step that `spread` did
        np.divide(
            self.eigenvalues_**self.steps, self.eigenvalues_, last, where=self.eigenvalues_ > 0
        )
        return np.concatenate(found) * last

    def plot_eigenvalues(self, axes: Any = None) -> Any:
        """Draws the eigenvalues after the steps; returns matplotlib's axes (extra [train])."""
        if axes is None:
            from matplotlib import pyplot

            axes = pyplot.figure().subplots()
        axes.plot(np.arange(1, self.n_components + 1), self.eigenvalues_**self.steps, "o-")
        axes.set(xlabel="component", ylabel=f"eigenvalue, {self.steps:g} steps", ylim=(0, None))
        return axes

    def _times(self, vector: np.ndarray) -> np.ndarray:
        found = product(self.kernel_, self._points, jnp.asarray(vector), block=self.block)
        return np.asarray(found, np.float64)


def _checked(points: np.ndarray, least: int) -> np.ndarray:
    points = np.asarray(points, jnp.zeros(()).dtype)
    if points.ndim != 2 or len(points) < least:
        raise ValueError(f"points {list(points.shape)} are not [N, D] with N at least {least}")
    if not np.isfinite(points).all():
        raise ValueError("points have values that are not finite")
    return points
