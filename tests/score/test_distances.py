"""FID and KID: closed forms, other ways to compute them, symmetry, bias."""

import numpy as np
import pytest
from scipy import linalg

from jaxsd.score.distances import frechet_distance, kernel, kernel_distance, root


def random_covariance(rng: np.random.Generator, dim: int, rank: int) -> np.ndarray:
    factor = rng.normal(size=(dim, rank))
    return factor @ factor.T / rank


def test_frechet_distance_of_gaussians_that_share_axes() -> None:
    """There it is the distance of means and of standard deviations (Dowson and Landau 1982)."""
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    first, second = rng.uniform(0.1, 3, (2, 6))
    means = rng.normal(size=(2, 6))
    covariances = [(axes * deviation**2) @ axes.T for deviation in (first, second)]
    want = ((means[0] - means[1]) ** 2).sum() + ((first - second) ** 2).sum()
    got = frechet_distance(means[0], covariances[0], means[1], covariances[1])
    assert got == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("rank", [30, 8])  # 8: fewer pictures than features
def test_frechet_distance_is_that_of_a_general_root(rank: int) -> None:
    rng = np.random.default_rng(1)
    one, two = random_covariance(rng, 20, 30), random_covariance(rng, 20, rank)
    means = rng.normal(size=(2, 20))
    general = linalg.sqrtm(one @ two).real
    want = ((means[0] - means[1]) ** 2).sum() + np.trace(one + two - 2 * general)
    # Of scipy: a root of what is zero but for rounding, 1e-16, is 1e-8.
    assert frechet_distance(means[0], one, means[1], two) == pytest.approx(want, abs=1e-5)


def test_frechet_distance_is_symmetric_and_zero_of_the_same() -> None:
    rng = np.random.default_rng(2)
    one, two = random_covariance(rng, 20, 30), random_covariance(rng, 20, 8)
    means = rng.normal(size=(2, 20))
    there = frechet_distance(means[0], one, means[1], two)
    back = frechet_distance(means[1], two, means[0], one)
    assert there == pytest.approx(back, rel=1e-12)
    assert there > 1
    for covariance in (one, two):
        same = frechet_distance(means[0], covariance, means[0], covariance)
        assert same == pytest.approx(0, abs=1e-12)


def test_a_root_is_one() -> None:
    covariance = random_covariance(np.random.default_rng(6), 20, 8)
    found = root(covariance)
    np.testing.assert_allclose(found @ found, covariance, atol=1e-12)
    np.testing.assert_array_equal(root(np.diag([4.0, -1e-9])), np.diag([2.0, 0.0]))


def test_kernel_distance_is_the_sum_over_pairs() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 7, 4)).astype(np.float32)

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (float(np.dot(a.astype(float), b)) / 4 + 1) ** 3

    want = sum(k(x[i], x[j]) + k(y[i], y[j]) for i in range(7) for j in range(7) if i != j) / 42
    want -= 2 * sum(k(a, b) for a in x for b in y) / 49
    got, error = kernel_distance(x, y, subsets=3, subset_size=1000)
    assert got == pytest.approx(want, rel=1e-5)  # products of float32
    assert error == pytest.approx(0, abs=1e-6)  # every subset is everything


def test_kernel_distance_has_no_bias() -> None:
    """Of one distribution it is 0 on average, though each kernel's mean is not."""
    rng = np.random.default_rng(4)
    values, biased = [], []
    for _ in range(200):
        x, y = rng.normal(size=(2, 20, 8)).astype(np.float32)
        values.append(kernel_distance(x, y, subsets=1)[0])
        biased.append(kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean())
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert np.mean(biased) > 30 * error


def test_kernel_distance_sees_a_shift_and_is_the_same_each_time() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 300, 8)).astype(np.float32)
    got, error = kernel_distance(x, y + 0.5, subsets=20, subset_size=100)
    assert got > 10 * error > 0
    assert kernel_distance(x, y + 0.5, subsets=20, subset_size=100) == (got, error)
    assert kernel_distance(x, y + 0.5, subsets=20, subset_size=100, seed=1) != (got, error)


def test_one_picture_has_no_pairs() -> None:
    with pytest.raises(ValueError, match="KID of 1 and 5 pictures; give 2 or more"):
        kernel_distance(np.ones((1, 3)), np.ones((5, 3)))
