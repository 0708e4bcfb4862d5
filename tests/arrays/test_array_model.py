"""Drawing and completing arrays, with networks whose answers are known."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import random_params

from jaxsd.arrays import model as module
from jaxsd.arrays.model import ArrayModel, complete, draw, forecast, read_arrays, write_arrays
from jaxsd.arrays.network import network_of, new_params
from jaxsd.arrays.spec import ArraySpec, moments
from jaxsd.types import Array

SPEC = ArraySpec((4, 1), (8,), 1, 2, 1, True, "sample", False, (5.0,), (2.0,))
CORRELATION = 0.8 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
COUNT = 4_000


def conditional(known: list[int]) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Of Gaussian series: numbers that are not known, their means by known ones, covariance."""
    rest = [i for i in range(4) if i not in known]
    gain = CORRELATION[np.ix_(rest, known)] @ np.linalg.inv(CORRELATION[np.ix_(known, known)])
    return rest, gain, CORRELATION[np.ix_(rest, rest)] - gain @ CORRELATION[np.ix_(known, rest)]


class Exact(NamedTuple):
    """In place of the U-Net: the mean of x0 of Gaussian series, by x and the numbers it is told."""

    told: tuple[int, ...]
    config = SimpleNamespace(in_channels=3, out_channels=1)

    def apply(self, variables: Any, seen: Array, timestep: Array, text: Array) -> Array:
        schedule = SPEC.schedule
        times = jnp.arange(schedule.train_steps)
        alpha, sigma = (
            jnp.interp(timestep, times, jnp.asarray(table, jnp.float32))
            for table in (schedule.alpha, schedule.sigma)
        )
        rest, gain, left = (np.asarray(a) for a in conditional([*self.told]))
        spread, basis = (a.astype(np.float32) for a in np.linalg.eigh(left))
        x, known = seen[:, :, 0, 0], seen[:, :, 0, 1]
        mean = known[:, np.array(self.told, int)] @ gain.T.astype(np.float32)
        share = alpha * spread / (alpha**2 * spread + sigma**2)
        x0 = mean + ((x[:, rest] - alpha * mean) @ basis * share[None]) @ basis.T
        return known.at[:, rest].set(x0)[:, :, None, None]


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ArrayModel]:
    """A function: the numbers that the network is told -> the model."""
    monkeypatch.setattr(module, "TOGETHER", COUNT)

    def of(*told: int) -> ArrayModel:
        monkeypatch.setattr(module, "network_of", lambda spec: Exact(told))
        return ArrayModel(SPEC, {})

    return of


@pytest.mark.release
def test_what_is_drawn_has_the_mean_and_covariance_of_the_data(
    exact: Callable[..., ArrayModel],
) -> None:
    rows = draw(exact(), COUNT, steps=30)[..., 0]
    # A mean of 4,000 has an error of 2 / 63, a covariance of about 4 sqrt(2) / 63.
    np.testing.assert_allclose(rows.mean(0), 5, atol=0.13)
    np.testing.assert_allclose(np.cov(rows.T), 4 * CORRELATION, atol=0.35)


def test_a_forecast_is_the_conditional_distribution(exact: Callable[..., ArrayModel]) -> None:
    past = np.array([[[7.0], [9.0]]], np.float32)
    rows = forecast(exact(0, 1), past, COUNT, steps=30)
    assert rows.shape == (COUNT, 1, 4, 1)
    assert (rows[:, :, :2] == past).all()
    future = rows[:, 0, 2:, 0]
    _, gain, left = conditional([0, 1])
    # An autoregression: only the last known number counts, (9 - 5) / 2 = 2 above the mean.
    np.testing.assert_allclose(gain @ [1, 2], [1.6, 1.28], atol=1e-12)
    # Begun with noise alone, the means would be 0.16 too low: the signal of the last level.
    np.testing.assert_allclose(future.mean(0), 5 + 2 * np.array([1.6, 1.28]), atol=0.08)
    np.testing.assert_allclose(np.cov(future.T), 4 * left, atol=0.25)


def test_any_mask_is_completed_and_blending_alone_falls_short(
    exact: Callable[..., ArrayModel],
) -> None:
    """A network that is told nothing sees the known numbers only where they are put back."""
    row = np.array([[[7.0], [np.nan], [np.nan], [7.0]]], np.float32)
    known = np.array([[True], [False], [False], [True]])
    _, gain, left = conditional([0, 3])
    wanted = 5 + 2 * gain @ [1, 1]  # 6.9
    rows = complete(exact(0, 3), row, known, COUNT, steps=30)
    assert (rows[:, 0, [0, 3]] == 7).all()
    np.testing.assert_allclose(rows[:, 0, 1:3, 0].mean(0), wanted, atol=0.1)
    np.testing.assert_allclose(np.cov(rows[:, 0, 1:3, 0].T), 4 * left, atol=0.25)
    rows = complete(exact(), row, known, COUNT, steps=30)
    assert (rows[:, 0, [0, 3]] == 7).all()
    # A loop in NumPy gives 5.89 as well, and a variance of 2.3 where 1.15 is right.
    np.testing.assert_allclose(rows[:, 0, 1:3, 0].mean(0), 5.89, atol=0.1)


@pytest.mark.release
def test_a_row_depends_on_its_seed_and_number_alone(
    exact: Callable[..., ArrayModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = exact()
    rows = draw(model, 5, seed=3, steps=2)
    monkeypatch.setattr(module, "TOGETHER", 2)
    np.testing.assert_allclose(draw(model, 7, seed=3, steps=2)[:5], rows, rtol=1e-4)
    assert np.abs(draw(model, 5, seed=4, steps=2) - rows).max() > 0.1


def test_a_folder_holds_the_whole_model(tmp_path: Path) -> None:
    spec = replace(SPEC, shape=(2, 3, 2), time_axis=3, mean=(0.1, 1e7), deviation=(1 / 3, 2.5))
    like = jax.eval_shape(partial(new_params, network_of(spec), spec), jax.random.key(0))
    params = random_params(like)
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
        (lambda m: replace(m.spec, prediction="eps"), "prediction is 'eps', it must be one"),
    ],
)
def test_what_does_not_fit_is_one_line(call: Any, line: str) -> None:
    with pytest.raises(ValueError, match=line) as raised:
        call(ArrayModel(SPEC, {}))
    assert "\n" not in str(raised.value)
