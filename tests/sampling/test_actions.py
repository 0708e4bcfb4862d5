"""Rows as actions: samples and densities of a linear network against closed forms."""

import jax
import numpy as np
import pytest

from jaxsd.config import ScheduleConfig
from jaxsd.sampling import Step, sample
from jaxsd.sampling.actions import acts, log_densities, log_density, play
from jaxsd.sampling.own import rows_like, told
from jaxsd.schedulers import SAMPLERS, NoiseSchedule, build
from jaxsd.types import Array

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
KEYS = jax.random.split(jax.random.key(0), 3)
NOISE = np.random.default_rng(0).standard_normal((3, 5), np.float32)


def network(x: Array, timestep: Array) -> Array:
    """x0 [B, D]."""
    return 0.3 * x + timestep / 1000


@pytest.mark.parametrize(
    ("sampler", "options"),
    [("euler_a", {}), ("ddim", {"eta": 1.0}), ("ddpm", {})],
)
def test_playing_is_sampling_and_rows_have_the_densities_of_normals(
    sampler: str, options: dict[str, float]
) -> None:
    table = build(sampler, SCHEDULE, 4, "sample", **options)
    assert acts(table)
    steps = Step(rows_like(table, 3), {})
    played = jax.jit(lambda z: play(steps, told(network), z, KEYS))(table.start[1] * NOISE)
    want = jax.jit(lambda noise: sample(table, network, noise, KEYS))(NOISE)
    np.testing.assert_allclose(played.samples[-1], want, rtol=1e-5, atol=1e-6)

    samples = np.float64(played.samples)
    for row in range(table.rows):
        z, after, sigma = samples[row], samples[row + 1], float(table.noise[row, 0])
        x0 = table.c_skip[row] * z + table.c_out[row] * (
            0.3 * table.c_in[row] * z + table.timestep[row] / 1000
        )
        mean = table.samples[row, 0, 0] * z + table.history[row, 0, 0] * (
            table.keep[row, 0] * z + table.keep[row, 1] * x0
        )
        if not sigma:
            np.testing.assert_array_equal(played.log_densities[row], 0)
            continue
        density = np.exp(-(((after - mean) / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
        found = played.log_densities[row]
        np.testing.assert_allclose(found, np.log(density).sum(1), rtol=1e-4, atol=1e-4)
    again = jax.jit(lambda kept: log_densities(steps, told(network), kept))(played.samples)
    np.testing.assert_allclose(again, played.log_densities, rtol=1e-6)


def test_samplers_without_noise_or_with_a_memory_do_not_act() -> None:
    acting = {name for name in SAMPLERS if acts(build(name, SCHEDULE, 4, "epsilon"))}
    assert acting >= {"ddpm", "euler_a", "lcm"}
    assert not acting & {"ddim", "euler", "dpm++_2m", "dpm++_2m_sde", "unipc", "sa_solver"}


def test_a_density_integrates_to_one_and_its_score_is_exact() -> None:
    x = np.linspace(-9, 9, 2001, dtype=np.float32)[:, None]
    mean, sigma = np.full_like(x, 0.5), np.full(len(x), 1.5, np.float32)
    found, back = jax.vjp(jax.jit(lambda mean: log_density(x, mean, sigma)), mean)
    assert np.trapezoid(np.exp(found), x[:, 0]) == pytest.approx(1, abs=1e-4)
    (score,) = back(np.ones_like(found))
    np.testing.assert_allclose(score, (x - mean) / 1.5**2, rtol=1e-5, atol=1e-5)
