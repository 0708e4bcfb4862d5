"""Where grids put their points."""

import numpy as np
import pytest

from jaxsd.config import ScheduleConfig
from jaxsd.schedulers import NoiseSchedule
from jaxsd.schedulers.grid import distillation_grid, sigma_grid, solver_grid, training_grid
from jaxsd.schedulers.spacing import (
    SIGMAS,
    beta_quantiles,
    beta_sigmas,
    karras_sigmas,
    leading_timesteps,
    linspace_timesteps,
    trailing_timesteps,
)

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())


def test_table_2_of_lin_et_al():
    """Their example: 10 of 1000 steps, counted from 1 there and from 0 here."""
    assert leading_timesteps(1000, 10).tolist() == list(range(900, -1, -100))
    assert leading_timesteps(1000, 10, 1)[0] == 901
    assert trailing_timesteps(1000, 10).tolist() == list(range(999, 0, -100))
    assert np.round(linspace_timesteps(1000, 10)).tolist() == list(range(999, -1, -111))


@pytest.mark.parametrize("spacing", [leading_timesteps, linspace_timesteps, trailing_timesteps])
def test_every_number_of_steps_falls_within_the_trained_timesteps(spacing):
    for steps in range(1, 1001):
        t = spacing(1000, steps)
        assert len(t) == steps
        assert t[0] <= 999
        assert t[-1] >= 0
        assert (np.diff(t) < 0).all()


def test_leading_beyond_the_last_timestep():
    with pytest.raises(ValueError, match=r"asks for timestep 1000, but there are 0 to 999"):
        leading_timesteps(1000, 1000, offset=1)


@pytest.mark.parametrize("name", SIGMAS)
def test_sigmas_fall_from_end_to_end(name):
    for steps in (2, 7, 100):
        sigmas = SIGMAS[name](14.6, 0.03, steps)
        assert sigmas[[0, -1]] == pytest.approx([14.6, 0.03])
        assert (np.diff(sigmas) < 0).all()
    assert SIGMAS[name](14.6, 0.03, 1) == pytest.approx([14.6])


def test_karras_sigmas():
    """Eq. 5 of Karras et al. written out, and the reciprocal power as its check."""
    i, n, rho = np.arange(5), 5, 7
    want = (14.6 ** (1 / rho) + i / (n - 1) * (0.03 ** (1 / rho) - 14.6 ** (1 / rho))) ** rho
    np.testing.assert_allclose(karras_sigmas(14.6, 0.03, 5), want, rtol=1e-12)


def test_beta_quantiles():
    """Beta(1/2, 1/2) is the arcsine distribution and Beta(1, 1) the uniform one."""
    q = np.linspace(0, 1, 101)
    np.testing.assert_allclose(beta_quantiles(q, 0.5), np.sin(np.pi * q / 2) ** 2, atol=1e-14)
    np.testing.assert_allclose(beta_quantiles(q, 1.0), q, atol=1e-14)


def test_beta_sigmas():
    """Quantiles of a symmetric distribution: the middle is the middle, and halves mirror."""
    sigmas = beta_sigmas(2.0, 0.0, 9)
    assert sigmas[4] == pytest.approx(1.0)
    np.testing.assert_allclose(sigmas + sigmas[::-1], 2.0, rtol=1e-9)
    # Beta(0.6, 0.6) has more than a uniform's weight near its ends.
    assert sigmas[1] > 1.75


def test_levels_of_grids_are_the_schedules():
    for grid in (training_grid, sigma_grid, solver_grid, distillation_grid):
        laid = grid(SCHEDULE, 10)
        np.testing.assert_allclose(laid.alpha**2 + laid.sigma**2, 1, rtol=1e-12)
        whole = laid.timestep == np.round(laid.timestep)
        levels = SCHEDULE.noise_to_signal[laid.timestep[whole].astype(int)]
        np.testing.assert_allclose(laid.noise_to_signal[:-1][whole], levels, rtol=1e-9)


def test_ends_of_grids():
    first = SCHEDULE.noise_to_signal[0]
    ends = {
        0.0: [
            training_grid(SCHEDULE, 5, set_alpha_to_one=True),
            sigma_grid(SCHEDULE, 5),
            solver_grid(SCHEDULE, 5),
        ],
        first: [
            training_grid(SCHEDULE, 5),
            solver_grid(SCHEDULE, 5, final_sigma="smallest"),
            distillation_grid(SCHEDULE, 5),
        ],
    }
    for end, grids in ends.items():
        assert [g.noise_to_signal[-1] for g in grids] == pytest.approx([end] * 3)


def test_timesteps_of_given_sigmas_are_between_those_of_their_neighbours():
    sigmas = np.sqrt(SCHEDULE.noise_to_signal[[900, 500]] * SCHEDULE.noise_to_signal[[901, 501]])
    grid = solver_grid(SCHEDULE, 2, sigmas=[*sigmas, 0.0])
    np.testing.assert_allclose(grid.timestep, [900.5, 500.5], atol=1e-6)


def test_distillation_grid_of_lcm():
    assert distillation_grid(SCHEDULE, 4).timestep.tolist() == [999, 759, 499, 259]
    with pytest.raises(ValueError, match="steps must be 1 to 50, the original_steps"):
        distillation_grid(SCHEDULE, 51)


def test_truncated_grid():
    """diffusers' image-to-image takes int(n*strength) of the steps."""
    grid = training_grid(SCHEDULE, 20)
    part = grid.truncated(0.62)
    assert part.steps == 12
    np.testing.assert_array_equal(part.timestep, grid.timestep[8:])
    np.testing.assert_array_equal(part.sigma, grid.sigma[8:])
    assert grid.truncated(0.001).steps == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spacing": "cosine"}, "spacing 'cosine' is unknown: choose one of leading, linspace"),
        ({"sigmas": "edm"}, "sigmas 'edm' is unknown: choose one of karras, exponential"),
        ({"sigmas": [1.0, 2.0, 0.0]}, "sigmas must be 3 falling numbers for 2 steps"),
        ({"timesteps": [1, 2]}, "timesteps must be 2 falling numbers for 2 steps"),
        ({"timesteps": [1]}, "timesteps must be 2 falling numbers for 2 steps"),
        ({"timesteps": [1000, 1]}, "timesteps must be within 0 to 999"),
        ({"final_sigma": "one"}, "final_sigma 'one' is unknown: choose one of zero, smallest"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        solver_grid(SCHEDULE, 2, **options)
