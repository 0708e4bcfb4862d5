"""Simulators of fields, against what is known of them, and plain forecasts."""

import numpy as np
import pytest
from fields import FIELDS, epidemic, prices, spread, traffic
from fields.forecasts import by_time, continued_by, linear, persistence, scores

from jaxsd.arrays.scores import coverage


def test_each_neighbour_is_told_once_by_its_chance() -> None:
    begun = np.zeros((20_000, spread.PEOPLE), bool)
    begun[:, [0, 1]] = True
    knows, heard = spread.advanced(begun, begun, np.random.default_rng(0))
    chances = spread.graph()
    wanted = np.where(begun[0], 0, 1 - (1 - chances[0]) * (1 - chances[1]))
    np.testing.assert_allclose(heard.mean(0), wanted, atol=0.015)  # 4 / (2 sqrt(20,000))
    assert (knows == begun | heard).all()
    _, again = spread.advanced(knows, np.zeros_like(heard), np.random.default_rng(1))
    assert not again.any()


def test_an_epidemic_is_its_differential_equations_on_average() -> None:
    hidden = {"beta": np.full(4_000, 0.9), "p": np.full(4_000, 0.4), "q": np.full(4_000, 0.3)}
    begun = np.tile([9_000, 0, 1_000], (4_000, 1))
    rows = epidemic._run(begun, hidden, 2, np.random.default_rng(0)).astype(float) ** 2
    infected = 9_000 * -np.expm1(-0.9 * 0.1)
    np.testing.assert_allclose(rows[:, 1].mean(0), [9_000 - infected, infected, 700], rtol=2e-3)
    assert (np.diff(rows[..., 0]) <= 0.01).all()
    assert (np.diff(rows.sum(-1)) <= 0.01).all()  # the rest has recovered


def test_returns_have_the_variance_of_the_process_and_its_facts() -> None:
    rows, _ = prices.simulate(4_000, np.random.default_rng(0))
    known = prices.facts(rows[..., 0])
    assert abs(known["deviation"] - 1) < 0.03
    assert known["kurtosis"] > 4
    assert known["|r| after 1"] > known["|r| after 20"] > 0.03
    assert known["leverage"] < -0.05
    assert abs(known["r after 1"]) < 0.02
    plain = prices.facts(np.random.default_rng(0).standard_normal((4_000, 64)))
    np.testing.assert_allclose(list(plain.values()), [1, 3, 0, 0, 0, 0, 0], atol=0.03)
    # One more step from a variance of 2, after a fall and a rise of 1%.
    np.testing.assert_allclose(prices.after(np.full(2, 2.0), np.array([-1, 1])), [1.93, 1.79])


def test_cars_leave_beyond_the_edge_alone() -> None:
    rng = np.random.default_rng(0)
    inside = np.zeros((50, 6, 6), int)
    inside[:, 2:4, 2:4] = 9
    moved = traffic._next(inside, rng)
    assert (moved.sum((1, 2)) == 36).all()
    corner = np.zeros((4_000, 6, 6), int)
    corner[:, 0, 0] = 8
    moved = traffic._next(corner, rng)
    np.testing.assert_allclose(moved.mean(0)[[0, 1, 1], [1, 0, 1]], [2, 2, 0], atol=0.1)
    assert (moved.sum((1, 2)) <= 8).all()
    hidden = {"demand": np.zeros((50, 4)), "blocked": np.zeros(50, int)}
    left = traffic._run(inside, hidden, range(40), rng)[..., -1]
    assert (left**2).sum() < 0.15 * 50 * 36


@pytest.mark.parametrize("name", FIELDS)
def test_the_simulators_own_forecast_keeps_the_past_and_is_calibrated(name: str) -> None:
    field, rng = FIELDS[name], np.random.default_rng(1)
    rows, hidden = field.simulate(60, rng)
    own = field.continued(rows, hidden, 19, rng)
    now = field.known
    np.testing.assert_array_equal(by_time(field, own[3])[:, :now], by_time(field, rows)[:, :now])
    forecast, truth = field.seen(own)[:, :, now:], field.seen(rows)[:, now:]
    # Numbers of a row go together, so these are some 60 numbers: 4 sqrt(0.25 / 60) at most. Counts
    # that are equal to an end are counted, so intervals of few people cover more.
    more = 0.35 if name == "spread" else 0.26
    assert -0.26 < coverage(forecast, truth, 0.5) - 0.5 < more
    assert coverage(forecast, truth, 0.9) > 0.75
    error, variance = forecast.mean(0) - truth, forecast.var(0, ddof=1)
    assert 0.8 < np.sqrt((error**2).mean() / variance.mean()) < 1.2  # sqrt(1 + 1 / 19) of many


def test_plain_forecasts_are_right_where_they_should_be() -> None:
    """Of Gaussian autoregressions the linear forecast is the true distribution."""
    rng = np.random.default_rng(0)
    field = FIELDS["epidemic"]._replace(
        times=6, known=3, allowed=lambda rows: rows, seen=lambda rows: rows
    )
    x = rng.standard_normal((4_000, 6, 1))
    for time in range(1, 6):
        x[:, time] = 0.9 * x[:, time - 1] + np.sqrt(1 - 0.81) * x[:, time]
    train, rows = x[:3_000], x[3_000:]
    best = linear(field, train, rows, 40, rng)
    np.testing.assert_allclose(best.mean((0, 1))[3:], rows.mean(0)[3:], atol=0.1)
    error = (best - best.mean(0)).std((0, 1))[3:, 0]
    np.testing.assert_allclose(error, np.sqrt(1 - 0.81 ** np.arange(1, 4)), rtol=0.05)
    plain = persistence(field, train, rows, 40, rng)
    np.testing.assert_array_equal(plain[7][:, :3], rows[:, :3])
    good, worse = (scores(field, one, rows) for one in (best, plain))
    assert abs(good["covers_50"] - 0.5) < 0.05
    assert abs(good["covers_90"] - 0.9) < 0.03
    assert good["crps"] < worse["crps"]
    assert good["energy"] < worse["energy"]


@pytest.mark.parametrize("name", FIELDS)
def test_rows_by_time_come_back(name: str) -> None:
    field = FIELDS[name]
    rows, _ = field.simulate(3, np.random.default_rng(0))
    future = by_time(field, rows)[None, :, field.known :]
    np.testing.assert_allclose(continued_by(field, rows, future)[0], rows, rtol=1e-6)
    again, _ = field.simulate(3, np.random.default_rng(0))
    np.testing.assert_array_equal(rows, again)
