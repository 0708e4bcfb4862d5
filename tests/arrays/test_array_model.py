"""Drawing and completing arrays, with networks whose answers are known."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsd.arrays import model as module
from jaxsd.arrays.model import ArrayModel, complete, draw, forecast, read_arrays, write_arrays
from jaxsd.arrays.network import network_of, new_params
from jaxsd.arrays.spec import ArraySpec, moments
from jaxsd.types import Array

SPEC = ArraySpec((4, 1), (8,), 1, 2, 1, True, "sample", False, (5.0,), (2.0,))
CORRELATION = 0.8 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4)))


class Exact(NamedTuple):
    """In place of the U-Net: the mean of x0 of Gaussian series of variance 1, given x and what is
    known.
    """

    told: bool
    config = SimpleNamespace(in_channels=3, out_channels=1)

    def apply(self, variables: Any, seen: Array, timestep: Array, text: Array) -> Array:
        schedule = SPEC.schedule
        times = jnp.arange(schedule.train_steps)
        alpha, sigma = (
            jnp.interp(timestep, times, jnp.asarray(table, jnp.float32))
            for table in (schedule.alpha, schedule.sigma)
        )
        x, known, mask = (seen[:, :, 0, i] for i in range(3))
        mask = mask if self.told else jnp.zeros_like(mask)
        # An observation alpha x0 + sigma noise of each number, and of a known one another that is
        # all but exact: precisions add up.
        weight = alpha**2 / sigma**2 + 1e5 * mask
        inverse = jnp.asarray(np.linalg.inv(CORRELATION), jnp.float32)
        precision = inverse[None] + jax.vmap(jnp.diag)(weight)
        evidence = alpha / sigma**2 * x + 1e5 * mask * known
        return jnp.linalg.solve(precision, evidence[..., None])[:, :, None]


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> ArrayModel:
    monkeypatch.setattr(module, "network_of", lambda spec: Exact(spec.told))
    monkeypatch.setattr(module, "TOGETHER", 4_000)
    return ArrayModel(SPEC, {})


def test_what_is_drawn_has_the_mean_and_covariance_of_the_data(exact: ArrayModel) -> None:
    rows = draw(exact, 4_000, steps=30)[..., 0]
    # A mean of 4,000 has an error of 2 / 63, a covariance of about 4 sqrt(2) / 63.
    np.testing.assert_allclose(rows.mean(0), 5, atol=0.13)
    np.testing.assert_allclose(np.cov(rows.T), 4 * CORRELATION, atol=0.35)


def test_a_forecast_is_the_conditional_distribution(exact: ArrayModel) -> None:
    past = np.array([[[7.0], [9.0]]], np.float32)
    rows = forecast(exact, past, 4_000, steps=30)
    assert rows.shape == (4_000, 1, 4, 1)
    assert (rows[:, :, :2] == past).all()
    future = rows[:, 0, 2:, 0]
    # An autoregression: only the last known number counts, (9 - 5) / 2 = 2 above the mean.
    gain = CORRELATION[2:, :2] @ np.linalg.inv(CORRELATION[:2, :2])
    left = CORRELATION[2:, 2:] - gain @ CORRELATION[:2, 2:]
    np.testing.assert_allclose(gain @ [1, 2], [1.6, 1.28], atol=1e-12)
    np.testing.assert_allclose(future.mean(0), 5 + 2 * np.array([1.6, 1.28]), atol=0.13)
    np.testing.assert_allclose(np.cov(future.T), 4 * left, atol=0.25)


def test_any_mask_is_completed_and_blending_alone_comes_near(exact: ArrayModel) -> None:
    """A network that is told nothing sees the known numbers only where they are put back."""
    row = np.array([[[7.0], [np.nan], [np.nan], [7.0]]], np.float32)
    known = np.array([[True], [False], [False], [True]])
    untold = exact._replace(spec=replace(SPEC, told=False))
    pair = [0, 3]
    gain = CORRELATION[1:3, pair] @ np.linalg.inv(CORRELATION[np.ix_(pair, pair)])
    wanted = 5 + 2 * gain @ [1, 1]
    for model, error in ((exact, 0.13), (untold, 0.6)):
        rows = complete(model, row, known, 4_000, steps=30)
        assert (rows[:, 0, pair] == 7).all()
        np.testing.assert_allclose(rows[:, 0, 1:3, 0].mean(0), wanted, atol=error)


def test_a_row_depends_on_its_seed_and_number_alone(
    exact: ArrayModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = draw(exact, 5, seed=3, steps=2)
    monkeypatch.setattr(module, "TOGETHER", 2)
    np.testing.assert_allclose(draw(exact, 7, seed=3, steps=2)[:5], rows, rtol=1e-5)
    assert np.abs(draw(exact, 5, seed=4, steps=2) - rows).max() > 0.1


def test_a_folder_holds_the_whole_model(tmp_path: Path) -> None:
    spec = replace(SPEC, shape=(2, 3, 2), time_axis=3, mean=(0.1, 1e7), deviation=(1 / 3, 2.5))
    params = new_params(network_of(spec), spec, jax.random.key(0))
    write_arrays(tmp_path, ArrayModel(spec, params))
    read = read_arrays(tmp_path)
    assert read.spec == spec
    jax.tree.map(np.testing.assert_array_equal, read.params, params)
    (tmp_path / "arrays.json").write_text('{"shape": [2]}')
    with pytest.raises(ValueError, match=r"arrays.json is damaged: the key 'channels' is missing"):
        read_arrays(tmp_path)
    with pytest.raises(FileNotFoundError, match="give the folder `model` of a run"):
        read_arrays(tmp_path / "weights")


def test_standardised_rows_have_no_mean_and_unit_variance() -> None:
    rows = np.random.default_rng(0).gamma(2.0, [1.0, 300.0], (50, 3, 4, 2)).astype(np.float32)
    mean, deviation = moments(rows, "rows")
    spec = replace(SPEC, shape=(3, 4, 2), mean=mean, deviation=deviation)
    seen = spec.standardised(rows)
    np.testing.assert_allclose(seen.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(seen.std((0, 1, 2)), 1, rtol=1e-5)
    np.testing.assert_allclose(spec.restored(seen), rows, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="channel 1 is 7 everywhere"):
        moments(np.dstack([rows[0], np.full((3, 4), 7)])[..., 1:], "rows")


def test_the_past_is_along_the_time_axis() -> None:
    grid = replace(SPEC, shape=(2, 2, 3), time_axis=3)
    past = grid.past(np.array([0, 2]))
    assert not past[0].any()
    assert past[1, ..., :2].all()
    assert not past[1, ..., 2].any()


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda m: forecast(m, np.ones((1, 4, 1)), 1), "the past has 4 times on axis 1; .* 1 to 3"),
        (lambda m: forecast(m, np.ones((1, 2, 3)), 1), r"the past has the shape \[1, 2, 3\]"),
        (lambda m: forecast(m, np.ones(3), 1), r"the past has the shape \[3\]"),
        (lambda m: forecast(m, np.full((1, 2, 1), np.inf), 1), "known numbers that are not finite"),
        (lambda m: complete(m, np.ones((1, 4, 1)), np.ones(3), 1), r"and known \[3\]"),
        (lambda m: draw(m, 1, sampler="eulr"), "eulr"),
        (lambda m: replace(m.spec, time_axis=3), "time_axis is 3"),
    ],
)
def test_what_does_not_fit_is_one_line(exact: ArrayModel, call: Any, line: str) -> None:
    with pytest.raises(ValueError, match=line) as raised:
        call(exact)
    assert "\n" not in str(raised.value)
