"""How far two sets of features are apart: FID and KID, as clean-fid computes them."""

import math

import numpy as np

from jaxsd.types import Array

SUBSETS = 100
"""Pairs of subsets that KID is a mean over."""
SUBSET_SIZE = 1000
"""Features in each subset, at most."""


def frechet_distance(mean1: Array, covariance1: Array, mean2: Array, covariance2: Array) -> float:
    """The Frechet distance of two Gaussians (Heusel et al. 2017, equation 6), "FID".

    The trace of the root of C1 C2 is the sum of the singular values of C1^(1/2) C2^(1/2), so no
    root of a general matrix is needed. With fewer pictures than features, some eigenvalues of
    C1^(1/2) C2 C1^(1/2) are rounding errors, and so are their roots: a set had -0.0015 with itself.

    Args:
      mean1: [d], the first's mean.
      covariance1: [d, d], its covariance; float64, as the others are.
    """
    product = root(covariance1) @ root(covariance2)
    cross = np.linalg.svd(product, compute_uv=False).sum()
    apart = mean1 - mean2
    distance = apart @ apart + np.trace(covariance1) + np.trace(covariance2) - 2 * cross
    return max(0.0, float(distance))  # for equal sets, rounding may give less


def root(covariance: Array) -> np.ndarray:
    """The symmetric root of a covariance, whose eigenvalues rounding may have made negative."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def kernel_distance(
    features1: Array,
    features2: Array,
    *,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
    seed: int = 0,
) -> tuple[float, float]:
    """The squared maximum mean discrepancy (Binkowski et al. 2018, section 4), "KID".

    The mean of unbiased estimates for pairs of subsets, with the kernel (x.y / d + 1)^3. It may be
    negative.

    Args:
      features1: [n, d].
      features2: [m, d].
      subset_size: at most; fewer where there are fewer features.
      seed: of the choice of subsets.

    Returns:
      The mean, and its standard error, which comes from the choice of subsets.

    Raises:
      ValueError: fewer than two features on a side.
    """
    size = min(len(features1), len(features2), subset_size)
    if size < 2:
        raise ValueError(f"KID of {len(features1)} and {len(features2)} pictures; give 2 or more")
    rng = np.random.default_rng(seed)
    estimates = []
    for _ in range(subsets):
        x, y = (f[rng.choice(len(f), size, replace=False)] for f in (features1, features2))
        within = _sum_of_pairs(x) + _sum_of_pairs(y)
        estimates.append(within / (size * (size - 1)) - 2 * kernel(x, y).mean())
    return float(np.mean(estimates)), float(np.std(estimates) / math.sqrt(subsets))


def kernel(x: Array, y: Array) -> np.ndarray:
    """(x.y / d + 1)^3 of each pair of features, [n, m] float64."""
    return ((x @ y.T).astype(np.float64) / x.shape[1] + 1) ** 3


def _sum_of_pairs(x: Array) -> float:
    """The kernel's sum over all pairs of different features."""
    values = kernel(x, x)
    return float(values.sum() - np.trace(values))
