"""Noise schedules against their closed forms and the constants people know."""

import numpy as np
import pytest

from jaxsd.config import ScheduleConfig
from jaxsd.schedulers import NoiseSchedule


def test_stable_diffusion_schedule():
    """The constants of Stable Diffusion: alphas_cumprod[999] and the sigma range of k-diffusion."""
    schedule = NoiseSchedule.from_config(ScheduleConfig())
    assert schedule.train_steps == 1000
    assert schedule.alphas_cumprod[-1] == pytest.approx(0.00466, abs=5e-6)
    assert schedule.noise_to_signal[[0, -1]] == pytest.approx([0.02917, 14.6146], rel=1e-4)


def test_linear_schedule_of_ddpm():
    config = ScheduleConfig(beta_schedule="linear", beta_start=1e-4, beta_end=0.02)
    betas = 1e-4 + (0.02 - 1e-4) * np.arange(1000) / 999
    want = np.exp(np.cumsum(np.log1p(-betas)))
    np.testing.assert_allclose(NoiseSchedule.from_config(config).alphas_cumprod, want, rtol=1e-12)


def test_squared_cosine_schedule():
    """Telescopes to cos^2 wherever the cap of 0.999 is not met, which is all but the last step."""
    schedule = NoiseSchedule.from_config(ScheduleConfig(beta_schedule="squaredcos_cap_v2"))
    t = np.arange(1001) / 1000
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(schedule.alphas_cumprod[:-1], (f[1:] / f[0])[:-1], rtol=1e-11)
    assert schedule.alphas_cumprod[-1] == pytest.approx(0.001 * schedule.alphas_cumprod[-2])


@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_levels(beta_schedule):
    schedule = NoiseSchedule.from_config(ScheduleConfig(beta_schedule=beta_schedule))
    np.testing.assert_allclose(schedule.alpha**2 + schedule.sigma**2, 1, rtol=1e-15)
    assert (np.diff(schedule.log_snr) < 0).all()
    np.testing.assert_allclose(np.exp(-schedule.log_snr / 2), schedule.noise_to_signal, rtol=1e-9)


def test_zero_terminal_snr():
    """Lin et al.: the last level is noise alone, the first is kept, alpha is changed affinely."""
    plain = NoiseSchedule.from_config(ScheduleConfig())
    zero = NoiseSchedule.from_config(ScheduleConfig(zero_terminal_snr=True))
    assert zero.alphas_cumprod[-1] == 0
    assert zero.log_snr[-1] == -np.inf
    assert zero.noise_to_signal[-1] == pytest.approx(4096, rel=1e-6)
    assert zero.alpha[0] == pytest.approx(plain.alpha[0])
    slopes = np.diff(zero.alpha) / np.diff(plain.alpha)
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-9)


def test_unknown_beta_schedule():
    with pytest.raises(ValueError, match=r"'sigmoid' is unknown: choose one of linear, scaled"):
        NoiseSchedule.from_config(ScheduleConfig(beta_schedule="sigmoid"))
