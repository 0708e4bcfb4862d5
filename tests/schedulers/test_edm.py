"""Networks with continuous noise, by the formulas of Karras et al. 2022 and against diffusers."""

import numpy as np
import pytest
from slow_loop import relative_error, run_table

from jaxsd.families import COSXL, PLAYGROUND
from jaxsd.schedulers import NoiseSchedule, build
from jaxsd.schedulers.samplers import SAMPLERS

SCHEDULES = {
    spec.prediction: NoiseSchedule.from_config(spec.schedule) for spec in (PLAYGROUND, COSXL)
}


@pytest.mark.parametrize("prediction", SCHEDULES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_perfect_network_of_data_that_are_normal(name: str, prediction: str) -> None:
    """Table 1 of the paper: x = z/alpha, and F is 0 where data of variance sigma_data^2 are known
    by nothing but that, since c_skip*x is their mean for the noise.
    """
    schedule = SCHEDULES[prediction]
    table = build(name, schedule, 12, prediction)
    data, alpha, sigma = schedule.edm.sigma_data, table.alpha[:-1], table.sigma[:-1]
    level = sigma.astype(float) / alpha
    np.testing.assert_allclose(table.timestep, np.log(level) / 4, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(table.c_in * alpha, (level**2 + data**2) ** -0.5, rtol=1e-5)
    wiener = data**2 / (level**2 + data**2)
    np.testing.assert_allclose(table.c_skip * alpha, wiener, rtol=1e-5)
    # The network's own variance is 1: what c_skip leaves of the data has that of c_out.
    left = data**2 - wiener * data**2
    np.testing.assert_allclose(table.c_out**2, left, rtol=1e-4)
    assert np.sign(table.c_out[0]) == (1 if prediction == "epsilon" else -1)


def test_levels_are_those_of_the_model_or_of_the_user() -> None:
    schedule = SCHEDULES["v"]
    for options in ({}, {"sigmas": "karras"}, {"spacing": "trailing"}, {"timesteps": [900, 10]}):
        table = build("euler", schedule, 2, "v", **options)
        first = 120.0 if "timesteps" not in options else schedule.noise_to_signal[900]
        assert table.sigma[0] == pytest.approx(first)
    assert build("euler", schedule, 3, "v").sigma[1] == pytest.approx((120 * 0.002) ** 0.5)


# Steps of one class of diffusers in float64; with one step its exponential levels begin at the end.


@pytest.mark.parity
@pytest.mark.parametrize("prediction", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 20, 50])
@pytest.mark.parametrize("name", ["euler", "dpm++_2m", "dpm++_2m_sde"])
def test_diffusers(name: str, steps: int, prediction: str) -> None:
    runs = pytest.importorskip("diffusers_runs")
    if steps == 1 and prediction == "v":
        pytest.skip("diffusers begins at the least noise")
    rng, schedule = np.random.default_rng(0), SCHEDULES[prediction]
    x, noises = rng.standard_normal((2, 4, 3, 3)), rng.standard_normal((50, 2, 4, 3, 3))
    kind = "EDMEulerScheduler" if name == "euler" else "EDMDPMSolverMultistepScheduler"
    more = {"algorithm_type": "sde-dpmsolver++"} if name.endswith("sde") else {}
    with runs.in_float64():
        reference = getattr(runs.diffusers, kind)(
            sigma_max=schedule.edm.sigma_max,
            sigma_data=schedule.edm.sigma_data,
            sigma_schedule=schedule.edm.sigmas,
            prediction_type=runs.PREDICTIONS[prediction],
            **more,
        )
        reference.set_timesteps(steps)
        want = runs.run_scheduler(reference, x, noises)
        got = run_table(build(name, schedule, steps, prediction), x, noises)
    assert relative_error(got, want) <= 1e-9
