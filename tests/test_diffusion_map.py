"""Diffusion maps: closed forms on a circle, matrices of small sets, scikit-learn and pydiffmap."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxsd.diffusion_map import Centred, DiffusionMap, Gaussian, Markov, Normalization

GOLDENS = np.load(Path(__file__).parent / "goldens/diffusion_map.npz")
POINTS, OTHERS = GOLDENS["points"].astype(np.float32), GOLDENS["others"].astype(np.float32)
TOLERANCE = 2e-6
"""Kernels are of float32."""


def alike(got: np.ndarray, want: np.ndarray) -> float:
    """The largest difference relative to the largest value; the sign of a column is free."""
    signs = np.sign((got * want).sum(axis=0))
    return np.abs(got * signs - want).max() / np.abs(want).max()


def likeness(x: np.ndarray, y: np.ndarray, gamma: float) -> np.ndarray:
    return np.exp(-gamma * ((x[:, None].astype(np.float64) - y[None]) ** 2).sum(-1))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_a_circle_has_the_eigenvalues_of_its_fourier_series(alpha: float) -> None:
    turn = 2 * np.pi * np.arange(48) / 48
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    row = likeness(circle[:1], circle, 3.0)[0]
    want = np.fft.fft(row).real / row.sum()
    found = DiffusionMap(4, steps=2, kernel=Gaussian(3.0), normalization=Markov(alpha)).fit(circle)
    np.testing.assert_allclose(found.eigenvalues_, want[[1, 1, 2, 2]], rtol=1e-6)
    # A pair of waves, of the same strength everywhere: the map is a circle again.
    radii = np.hypot(*found.embedding_[:, :2].T)
    np.testing.assert_allclose(radii, want[1] ** 2 * 2**0.5, rtol=1e-5)


@pytest.mark.parametrize("steps", [2, 3, 2.5])
def test_distances_of_the_map_are_those_of_where_walks_end(steps: float) -> None:
    points = POINTS[:12]
    kernel = likeness(points, points, 0.2)
    share = kernel.sum(1) ** -0.7
    kernel = kernel * share[:, None] * share
    degree = kernel.sum(1)
    values, vectors = np.linalg.eig(kernel / degree[:, None])
    power = ((vectors * values**steps) @ np.linalg.inv(vectors)).real
    ends = power / np.sqrt(degree / degree.sum())
    want = ((ends[:, None] - ends[None]) ** 2).sum(-1)
    walk = Markov(0.7)
    found = DiffusionMap(10, steps=steps, kernel=Gaussian(0.2), normalization=walk).fit(points)
    got = ((found.embedding_[:, None] - found.embedding_[None]) ** 2).sum(-1)
    # A twelfth component, the smallest one, is left out.
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * want.max())


def test_half_a_step_of_the_centred_kernel_is_kernel_pca() -> None:
    kernel = Gaussian(float(GOLDENS["gamma"]))
    found = DiffusionMap(5, steps=0.5, kernel=kernel, normalization=Centred()).fit(POINTS)
    np.testing.assert_allclose(found.eigenvalues_, GOLDENS["pca_eigenvalues"], rtol=TOLERANCE)
    assert alike(found.embedding_, GOLDENS["pca_points"]) < TOLERANCE
    assert alike(found.transform(OTHERS), GOLDENS["pca_others"]) < TOLERANCE


def test_the_walk_is_pydiffmaps() -> None:
    epsilon, alpha = float(GOLDENS["epsilon"]), float(GOLDENS["alpha"])
    kernel = Gaussian(1 / (4 * epsilon))
    with jax.enable_x64(True):  # eigenvalues are near each other, which rounding is divided by
        found = DiffusionMap(5, kernel=kernel, normalization=Markov(alpha)).fit(GOLDENS["points"])
    # Its operator is (P - 1) / epsilon.
    want = 1 + epsilon * GOLDENS["walk_eigenvalues"]
    np.testing.assert_allclose(found.eigenvalues_, want, rtol=TOLERANCE)
    theirs = GOLDENS["walk_functions"]
    lengths = (np.linalg.norm(values, axis=0) for values in (found.functions_, theirs))
    assert alike(found.functions_ / next(lengths), theirs / next(lengths)) < TOLERANCE


@pytest.mark.parametrize("normalization", [Markov(0.3), Centred()])
def test_known_points_are_put_where_they_are(normalization: Normalization) -> None:
    found = DiffusionMap(3, steps=2, normalization=normalization, block=7).fit(POINTS)
    assert alike(found.transform(POINTS), found.embedding_) < TOLERANCE


def test_blocks_change_rounding_alone() -> None:
    small, large = (DiffusionMap(3, block=block).fit_transform(POINTS) for block in (7, 256))
    assert alike(small, large) < TOLERANCE


def test_points_far_from_zero_and_copies_of_them_are_laid_out() -> None:
    near = DiffusionMap(3).fit(POINTS)
    far = DiffusionMap(3).fit(POINTS + np.float32(256))
    assert alike(far.embedding_, near.embedding_) < 1e-4  # the points have four digits less
    copies = DiffusionMap(2).fit(np.concatenate([POINTS[:6], POINTS[[0] * 20]]))
    np.testing.assert_allclose(copies.embedding_[6:], copies.embedding_[[0] * 20], atol=1e-5)


def test_eigenvalues_are_drawn() -> None:
    found = DiffusionMap(4, steps=2).fit(POINTS)
    (line,) = found.plot_eigenvalues().get_lines()
    np.testing.assert_array_equal(line.get_ydata(), found.eigenvalues_**2)


@pytest.mark.parametrize(
    ("options", "points", "complaint"),
    [
        ({"n_components": 0}, POINTS, "n_components 0 and block 256 must be 1 or more"),
        ({"steps": -1}, POINTS, "steps -1 must be 0 or more"),
        ({}, POINTS[:2], r"points \[2, 5\] are not \[N, D\] with N at least 4"),
        ({}, POINTS[:, 0], r"points \[60\] are not \[N, D\]"),
        ({}, np.full((9, 2), np.nan), "points have values that are not finite"),
        ({}, np.zeros((9, 2)), "all points are the same"),
    ],
)
def test_a_mistake_is_one_line(options: dict, points: np.ndarray, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        DiffusionMap(**options).fit(points)


def test_alpha_and_dimensions_are_checked() -> None:
    with pytest.raises(ValueError, match="alpha 2 is not in 0 to 1"):
        Markov(2)
    with pytest.raises(ValueError, match="points of 4 values; those of fit have 5"):
        DiffusionMap().fit(POINTS).transform(POINTS[:, :4])


def test_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[1] / "docs/diffusion_map.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(block, names)
    radii = np.hypot(*names["found"].embedding_.T)
    assert radii.std() < 0.1 * radii.mean()
    assert (tmp_path / "diffusion_map.png").stat().st_size > 1000
