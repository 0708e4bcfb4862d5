"""Tables run backwards: round trips, diffusers' formula, Gaussians whose flow is known."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from slow_loop import toy_network

from jaxsd.config import ScheduleConfig
from jaxsd.schedulers import (
    NoiseSchedule,
    Tableau,
    build,
    inverted,
    there_and_back,
    trace_weights,
)

SCHEDULES = {
    "epsilon": NoiseSchedule.from_config(ScheduleConfig()),
    "v": replace(
        NoiseSchedule.from_config(ScheduleConfig(zero_terminal_snr=True)), spacing="trailing"
    ),
}
X = np.random.default_rng(0).standard_normal((4, 4, 3))


def network(x: np.ndarray, timestep: float) -> np.ndarray:
    """Smooth, so that few rows follow its flow."""
    return 0.3 * toy_network(x, timestep)


def followed(
    tableau: Tableau, z: np.ndarray, network: Callable[[np.ndarray, float], np.ndarray] = network
) -> np.ndarray:
    """Both samples after a table, from both before it, [2, ...] float64."""
    t = Tableau(*(np.asarray(field, np.float64) for field in tableau))
    for row in range(t.rows):
        answer = network(t.c_in[row] * z[0], t.timestep[row])
        x0 = t.c_skip[row] * z[0] + t.c_out[row] * answer
        newest = t.keep[row, 0] * z[0] + t.keep[row, 1] * x0
        both = [t.samples[row], t.history[row, :, :1]]
        z = np.einsum("ji,i...->j...", np.hstack(both), np.concatenate([z, newest[None]]))
    return z


@pytest.mark.parametrize("prediction", SCHEDULES)
@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_bdia_comes_back(prediction: str, gamma: float) -> None:
    table = build("bdia", SCHEDULES[prediction], 20, prediction, gamma=gamma)
    samples = followed(inverted(table), np.stack([X, X]))
    np.testing.assert_allclose(followed(table, samples)[0], X, atol=3e-5)  # tables are float32
    assert inverted(table).rows == 21


@pytest.mark.parametrize("prediction", SCHEDULES)
@pytest.mark.parametrize("name", ["ddim", "euler"])
def test_ddim_comes_back_with_the_order_of_its_rows(name: str, prediction: str) -> None:
    spacing = {"spacing": "trailing"}
    errors = []
    for steps in (100, 200):
        table = build(name, SCHEDULES[prediction], steps, prediction, **spacing)
        samples = followed(inverted(table), np.stack([X, X]))
        np.testing.assert_array_equal(samples[0], samples[1])
        errors.append(np.abs(followed(table, samples)[0] - X).max())
    assert errors[1] < 0.02
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.2)


def test_ddim_inversion_is_its_formula() -> None:
    """DDIM's step to a noisier level with the noise that was predicted at that level's timestep."""
    table = build("ddim", SCHEDULES["epsilon"], 10, "epsilon")
    z = X
    for row in range(9, -1, -1):
        noise = network(z, float(table.timestep[row]))
        a, s = float(table.alpha[row + 1]), float(table.sigma[row + 1])
        z = table.alpha[row] * (z - s * noise) / a + table.sigma[row] * noise
    np.testing.assert_allclose(followed(inverted(table), np.stack([X, X]))[0], z, rtol=1e-5)


def slope(variance: float, timestep: float) -> float:
    """v over z of a Gaussian of mean 0."""
    schedule, trained = SCHEDULES["v"], np.arange(1000)
    a, s = (np.interp(timestep, trained, level) for level in (schedule.alpha, schedule.sigma))
    return (1 - variance) * a * s / (variance * a**2 + s**2)


@pytest.mark.parametrize(("variance", "least"), [(0.05, 1e-2), (0.6, 4e-4), (2.0, 3e-4)])
def test_noise_and_density_of_a_gaussian(variance: float, least: float) -> None:
    """The flow keeps a sample's number of deviations. The trained levels leave out the smallest
    noise, where that of a narrow Gaussian changes: the last number is what is left of that.
    """

    def of_gaussian(x: np.ndarray, timestep: float) -> np.ndarray:
        return slope(variance, timestep) * x

    z, ddim, bdia, density = np.full((2, 1), variance**0.5), [], [], []
    for steps in (50, 200):
        back = inverted(build("bdia", SCHEDULES["v"], steps, "v"))
        bdia.append(abs(float(followed(back, z, of_gaussian)[0, 0]) - 1))
        back_by_ddim = inverted(build("ddim", SCHEDULES["v"], steps, "v"))
        ddim.append(abs(float(followed(back_by_ddim, z, of_gaussian)[0, 0]) - 1))
        weights, of_one = trace_weights(back)
        traces = [slope(variance, float(timestep)) for timestep in back.timestep]
        density.append(abs(weights @ traces + of_one - -np.log(variance) / 2))
    assert bdia[1] < bdia[0] / 4
    assert density[1] < least
    if variance > 0.1:
        assert bdia[1] < ddim[1] / 10
        assert ddim[1] == pytest.approx(ddim[0] / 4, rel=0.2)


def test_without_noise_both_ways_are_one_table() -> None:
    table = build("bdia", SCHEDULES["v"], 5, "v")
    whole = there_and_back(table)
    assert whole.rows == 11
    assert whole.start.tolist() == [1, 0]
    np.testing.assert_allclose(followed(whole, np.stack([X, X]))[0], X, atol=1e-5)
    np.testing.assert_array_equal(whole.alpha[5:7], [whole.alpha[5]] * 2)  # both of the noise


@pytest.mark.parametrize("name", ["euler_a", "dpm++_2m", "heun", "ddpm"])
def test_what_is_not_undone_is_refused(name: str) -> None:
    table = build(name, SCHEDULES["epsilon"], 5, "epsilon")
    with pytest.raises(ValueError, match=r"only ddim .* euler and bdia lead back"):
        inverted(table)
