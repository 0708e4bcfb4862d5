"""Rewards and their losses against what PyTorch and diffusers make of the same numbers."""

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diffusers import DDIMScheduler
from real_files import larger

from jaxsd.config import ScheduleConfig
from jaxsd.convert.aesthetic import read_predictor
from jaxsd.sampling import Step
from jaxsd.sampling.actions import play
from jaxsd.sampling.own import rows_like, told
from jaxsd.schedulers import NoiseSchedule, build
from jaxsd.training.preferences import preference_margins

pytestmark = pytest.mark.parity

RNG = np.random.default_rng(0)


def test_ratings_of_the_real_predictor_are_those_of_torch() -> None:
    file = larger("aesthetic/sac_logos_ava1-l14-linearMSE.pth")
    state = torch.load(file, map_location="cpu", weights_only=True)
    x = RNG.standard_normal((4, 768)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    theirs, ours = torch.from_numpy(x), x
    for number in (0, 2, 4, 6, 7):  # dropout is between some of them
        weight, bias = (state[f"layers.{number}.{name}"] for name in ("weight", "bias"))
        theirs = torch.nn.functional.linear(theirs, weight, bias)
    for kernel, bias in read_predictor(file):
        ours = ours @ kernel + bias
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5)


def test_densities_of_rows_are_those_of_the_scheduler() -> None:
    """Mean and deviation of DDIMScheduler's step with eta 1, whose last row adds no noise."""
    rows, config = 5, ScheduleConfig()
    scheduler = DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    scheduler.set_timesteps(rows)
    schedule = NoiseSchedule.from_config(config)
    table = build("ddim", schedule, rows, "epsilon", eta=1.0)
    np.testing.assert_array_equal(table.timestep, scheduler.timesteps.numpy())
    keys = jax.random.split(jax.random.key(0), 2)
    z = RNG.standard_normal((2, 6)).astype(np.float32)
    steps, network = Step(rows_like(table, 2), {}), lambda x, t: 0.7 * x
    played = play(steps, told(network), z, keys)
    for row, t in enumerate(scheduler.timesteps.tolist()):
        sample, after = (torch.from_numpy(np.asarray(played.samples[row + i])) for i in (0, 1))
        noise = torch.zeros_like(sample)
        mean = scheduler.step(0.7 * sample, t, sample, eta=1.0, variance_noise=noise).prev_sample
        sigma = scheduler._get_variance(t, t - 1000 // rows) ** 0.5
        density = torch.distributions.Normal(mean, sigma).log_prob(after).sum(1)
        np.testing.assert_allclose(played.log_densities[row], density, rtol=2e-3, atol=2e-3)


def test_the_loss_of_preferences_is_that_of_diffusers_example() -> None:
    """The formula of examples/research_projects/diffusion_dpo, on errors of both models."""
    own, before = RNG.random((2, 2, 8)).astype(np.float32)
    theirs = torch.from_numpy(own).requires_grad_()
    reference, beta = torch.from_numpy(before), 5.0
    difference = (theirs[0] - theirs[1]) - (reference[0] - reference[1])
    loss = -torch.nn.functional.logsigmoid(-0.5 * beta * difference).mean()
    loss.backward()

    def ours(errors):
        return -jax.nn.log_sigmoid(preference_margins(errors, before, beta)).mean()

    found, slopes = jax.value_and_grad(ours)(own)
    assert float(found) == pytest.approx(float(loss), rel=1e-6)
    np.testing.assert_allclose(slopes, theirs.grad.numpy(), rtol=1e-5)
