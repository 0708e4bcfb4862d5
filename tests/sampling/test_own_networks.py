"""What docs/your_own_network.md says: exact networks for points and series, and any sampler."""

import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

PAGE = (Path(__file__).parents[2] / "docs/your_own_network.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the blocks of the page define, run one after the other."""
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
            exec(block, names)
        assert Path("moons.png").stat().st_size > 10_000
    return names


def test_moons_are_as_near_the_truth_as_other_true_points(names: dict[str, Any]) -> None:
    rng, centres = np.random.default_rng(1), names["centres"]
    others = centres[rng.integers(0, 64, 1_000)] + 0.06 * rng.standard_normal((1_000, 2))
    near = names["energy_distance"](others.astype(np.float32), names["truth"])
    distances = {name: errors[-1] for name, errors in names["errors"].items()}
    assert all(distance < near + 3e-3 for distance in distances.values()), distances
    nearest = jnp.sqrt(((names["moons"][:, None] - centres[None]) ** 2).sum(-1)).min(1)
    assert float((nearest < 4 * 0.06).mean()) > 0.97


def test_more_steps_are_nearer(names: dict[str, Any]) -> None:
    for name, errors in names["errors"].items():
        assert errors[0] > 3 * errors[-1], name


def test_a_sheet_has_what_each_sampler_scale_and_seed_draws_alone(names: dict[str, Any]) -> None:
    sheet = np.asarray(names["sheet"])
    alone = names["moons_of"](names["tables"][2], 0.5, 1)
    np.testing.assert_allclose(sheet[2, 1, 1], alone, atol=1e-4)
    nearest = ((sheet[..., None, :] - names["centres"]) ** 2).sum(-1).argmin(-1)
    upper = (nearest < 32).mean(axis=(0, 2, 3))  # by scale
    assert 0.4 < upper[0] < upper[1] < upper[2]
    assert upper[2] == 1


def test_series_have_their_covariance(names: dict[str, Any]) -> None:
    series = np.asarray(names["series"])[..., 0]
    # Of 4,000 series; an entry of the covariance has an error of about 1 / 63.
    np.testing.assert_allclose(series.T @ series / len(series), names["covariance"], atol=0.08)
