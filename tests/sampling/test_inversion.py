"""Inversion and likelihood with exact networks of Gaussian data, where both are formulas."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.config import ScheduleConfig
from jaxsd.sampling.inversion import invert, log_likelihood, sample_from
from jaxsd.schedulers import NoiseSchedule, build, inverted, trace_weights

PAGE = (Path(__file__).parents[2] / "docs/inversion.md").read_text(encoding="utf-8")
SCHEDULE = replace(
    NoiseSchedule.from_config(ScheduleConfig(zero_terminal_snr=True)), spacing="trailing"
)
TIMES = np.arange(SCHEDULE.train_steps)
MEAN = np.float32([0.4, -0.3, 0.1])
TURN = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0].astype(np.float32)
VARIANCE = np.float32([0.05, 0.6, 2.0])
COVARIANCE = (TURN * VARIANCE) @ TURN.T
X = jnp.asarray(np.random.default_rng(1).multivariate_normal(MEAN, COVARIANCE, 6), jnp.float32)


def network(x: jax.Array, timestep: jax.Array) -> jax.Array:
    """v of N(MEAN, COVARIANCE), [B, 3]."""
    alpha, sigma = (jnp.interp(timestep, TIMES, a) for a in (SCHEDULE.alpha, SCHEDULE.sigma))
    seen = (x - alpha * MEAN[None]) @ TURN
    x0 = MEAN[None] + (seen * (alpha * VARIANCE / (alpha**2 * VARIANCE + sigma**2))[None]) @ TURN.T
    noise = (seen * (sigma / (alpha**2 * VARIANCE + sigma**2))[None]) @ TURN.T
    return alpha * noise - sigma * x0


def noise_of(x: jax.Array) -> jax.Array:
    """Where the flow leads, in closed form: the whitened sample."""
    return ((x - MEAN[None]) @ TURN / np.sqrt(VARIANCE)[None]) @ TURN.T


def log_density(x: jax.Array) -> jax.Array:
    apart = ((x - MEAN[None]) @ TURN) ** 2 / VARIANCE[None]
    return -(apart.sum(1) + np.log(2 * np.pi * VARIANCE).sum()) / 2


def test_bdia_comes_back_with_the_noise_of_the_flow() -> None:
    table = build("bdia", SCHEDULE, 100, "v")
    samples = jax.jit(lambda x: invert(inverted(table), network, x))(X)
    back = jax.jit(lambda samples: sample_from(table, network, samples))(samples)
    np.testing.assert_allclose(back, X, atol=2e-5)
    np.testing.assert_allclose(samples[:, 0], noise_of(X), atol=0.06)  # 2% of the largest


def test_the_page_goes_to_the_noise_and_back() -> None:
    """Its data are of N(0, 0.6), so the noise is the data without their width."""
    names: dict[str, Any] = {}
    [block] = [b for b in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "invert(" in b]
    exec(block, names)
    np.testing.assert_allclose(names["again"], names["data"], atol=2e-5)
    width = np.sqrt(0.6 * names["schedule"].alpha[-1] ** 2 + names["schedule"].sigma[-1] ** 2)
    wanted = names["data"] * width / np.sqrt(0.6)
    np.testing.assert_allclose(names["samples"][:, 0], wanted, atol=0.02)


def test_likelihood_is_that_of_the_gaussian() -> None:
    """The mean of 64 probes: their own error, and that of the rows."""
    back = inverted(build("bdia", SCHEDULE, 200, "v"))
    weights = trace_weights(back)
    keys = jax.vmap(jax.vmap(jax.random.key))(jnp.arange(64 * 6).reshape(64, 6))
    run = jax.jit(jax.vmap(lambda keys: log_likelihood(back, weights, network, X, keys)))
    found = run(keys)
    spread = float(found.std(0).max())
    assert 0.1 < spread < 2
    np.testing.assert_allclose(found.mean(0), log_density(X), atol=3 * spread / 8 + 0.02)
