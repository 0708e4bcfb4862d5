"""What a denoiser is asked for, as mathematics."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsd.config import ScheduleConfig
from jaxsd.schedulers import NoiseSchedule
from jaxsd.training.config import LossConfig
from jaxsd.training.losses import (
    losses_by_noise,
    min_snr_weight,
    noise_like,
    noising,
    shares_below,
    stratified_timesteps,
    target,
)

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
ZERO_SNR = NoiseSchedule.from_config(ScheduleConfig(zero_terminal_snr=True))


@pytest.mark.parametrize("prediction", ["epsilon", "v", "sample"])
def test_target_determines_the_picture(prediction: str) -> None:
    rng = np.random.default_rng(0)
    x0, noise = rng.standard_normal((2, 3, 4, 4, 4))
    angle = rng.uniform(0.1, 1.4, (3, 1, 1, 1))
    alpha, sigma = np.cos(angle), np.sin(angle)
    x = alpha * x0 + sigma * noise
    y = target(prediction, alpha, sigma, x0, noise)
    again = {"epsilon": (x - sigma * y) / alpha, "v": alpha * x - sigma * y, "sample": y}
    np.testing.assert_allclose(again[prediction], x0, atol=1e-12)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "sample"])
def test_min_snr_clips_the_weight_of_the_error_of_x0(prediction: str) -> None:
    """An error of the prediction is one of x0: e_x0 = -e_eps/sqrt(SNR) = -sigma*e_v."""
    snr = SCHEDULE.alphas_cumprod / (1 - SCHEDULE.alphas_cumprod)
    of_x0 = {"epsilon": 1 / snr, "v": SCHEDULE.sigma**2, "sample": np.ones_like(snr)}[prediction]
    weight = min_snr_weight(SCHEDULE, prediction, 5.0)
    np.testing.assert_allclose(weight, np.minimum(snr, 5.0) * of_x0, rtol=1e-9)


def test_min_snr_of_epsilon_has_a_limit_without_signal() -> None:
    weight = min_snr_weight(ZERO_SNR, "epsilon", 5.0)
    assert weight[-1] == 1.0
    assert np.isfinite(weight).all()


def test_min_snr_with_v_and_zero_terminal_snr_is_warned_of_in_one_line() -> None:
    config = LossConfig(min_snr_gamma=5.0)
    with pytest.warns(UserWarning, match="leave out loss.min_snr_gamma") as said:
        tables = noising(ZERO_SNR, "v", config)
    assert "\n" not in str(said[0].message)
    assert float(tables.weight[-1]) == 0.0
    assert float(tables.weight[800]) < 0.02  # what silenced the text in an earlier recipe


def test_stratified_timesteps_fall_one_in_each_stratum() -> None:
    below = jnp.asarray(shares_below([1.0]), jnp.float32)
    for seed in range(5):
        t = np.asarray(stratified_timesteps(jax.random.key(seed), 8, below, 1000))
        assert (t // 125 == np.arange(8)).all()


def test_timesteps_follow_a_density() -> None:
    below = jnp.asarray(shares_below([1, 0, 3, 4]), jnp.float32)
    t = np.asarray(stratified_timesteps(jax.random.key(0), 8000, below, 1000))
    counts = np.bincount(t // 250, minlength=4)
    np.testing.assert_allclose(counts, [1000, 0, 3000, 4000], atol=2)
    # Uniform within a part.
    np.testing.assert_allclose(np.bincount(t[t >= 750] % 250 // 50), 800, atol=2)


@pytest.mark.parametrize("density", [[], [0.0], [1.0, -1.0], [float("nan")]])
def test_what_is_no_density_is_one_line(density: list[float]) -> None:
    with pytest.raises(ValueError, match="timestep_density is"):
        shares_below(density)


def test_offset_noise_moves_whole_channels() -> None:
    latents = jnp.zeros((400, 16, 16, 4))
    noise = np.asarray(noise_like(jax.random.key(0), latents, 0.5))
    # Means over 256 pixels: variance 1/256 of the noise, and 0.25 of the offset.
    assert noise.mean((1, 2)).var() == pytest.approx(0.25 + 1 / 256, rel=0.1)
    plain = np.asarray(noise_like(jax.random.key(0), latents, 0.0))
    assert plain.mean((1, 2)).var() == pytest.approx(1 / 256, rel=0.1)
    assert plain.var() == pytest.approx(1.0, rel=0.01)


def test_losses_are_told_apart_by_noise() -> None:
    t = jnp.array([0, 249, 250, 999])
    by_noise = losses_by_noise(jnp.array([1.0, 3.0, 5.0, 7.0]), t, 1000)
    want = {
        "loss_t000": (4.0, 2.0),
        "loss_t250": (5.0, 1.0),
        "loss_t500": (0.0, 0.0),
        "loss_t750": (7.0, 1.0),
    }
    assert {name: tuple(map(float, value)) for name, value in by_noise.items()} == want


def test_zero_terminal_snr_ends_in_noise_alone() -> None:
    schedule = NoiseSchedule.from_config(replace(ScheduleConfig(), zero_terminal_snr=True))
    assert schedule.alpha[-1] == 0
    assert schedule.sigma[-1] == 1
