"""The numbers of consistency distillation, against diffusers' schedulers."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from diffusers import DDIMScheduler, LCMScheduler

from jaxsd.config import ScheduleConfig
from jaxsd.schedulers import NoiseSchedule
from jaxsd.schedulers.lcm import boundary_scalings
from jaxsd.training.distillation import Level, ddim_step, estimate, guided

pytestmark = pytest.mark.parity
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def test_boundary_scalings_are_those_of_the_lcm_scheduler() -> None:
    scheduler = LCMScheduler(**BETAS)
    scheduler.set_timesteps(4)
    timesteps = np.arange(1000)
    wanted = scheduler.get_scalings_for_boundary_condition_discrete(torch.arange(1000.0).double())
    for ours, theirs in zip(boundary_scalings(timesteps), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_the_skipped_step_with_guidance_is_that_of_the_ddim_scheduler(prediction: str) -> None:
    name = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
    # The 50 steps of LCM's authors: timesteps 19, 39, ..., 999, each 20 down, the last one to 0.
    scheduler = DDIMScheduler(
        **BETAS, clip_sample=False, set_alpha_to_one=False, prediction_type=name
    )
    scheduler.set_timesteps(50)
    schedule = NoiseSchedule.from_config(ScheduleConfig())
    rng = np.random.default_rng(0)
    at = 20 * np.arange(1, 51) - 1
    x, told, untold = rng.standard_normal((3, 50, 3)).astype(np.float32)
    w = rng.uniform(0, 7, 50).astype(np.float32)
    output = (1 + w[:, None]) * told - w[:, None] * untold  # Luo et al. 2023, equation 14
    levels = (
        Level(t, *(np.float32(of[t]) for of in (schedule.alpha, schedule.sigma)))
        for t in (at, np.maximum(at - 20, 0))
    )
    ours = ddim_step(
        lambda x, level: estimate(prediction, x, level, guided(1 + w, told, untold)), x, *levels
    )
    for i, t in enumerate(at):
        theirs = scheduler.step(torch.tensor(output[i]), int(t), torch.tensor(x[i])).prev_sample
        np.testing.assert_allclose(ours[i], theirs.numpy(), rtol=2e-4, atol=2e-5)
