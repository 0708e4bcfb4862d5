"""Targets of students that draw in few steps: consistency and progressive distillation.

Samples are x = alpha*x0 + sigma*noise, of any shape [B, ...]. Networks are functions, so that all
of it can be tested where the best network is a formula.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsd.sampling.loop import per_image
from jaxsd.schedulers.lcm import boundary_scalings
from jaxsd.types import Array


class Level(NamedTuple):
    """Where on the noise schedule each sample is."""

    timestep: Array  # [B]
    alpha: Array  # [B] float32
    sigma: Array  # [B] float32


class Estimate(NamedTuple):
    """A sample, taken apart."""

    x0: Array  # [B, ...] float32
    noise: Array  # [B, ...] float32


Denoise = Callable[[Array, Level], Estimate]
"""(x [B, ...], level) -> what a network takes the sample for."""


def estimate(prediction: str, x: Array, level: Level, output: Array) -> Estimate:
    """x0 and noise by the output of a network; the inverse of `jaxsd.training.losses.target`.

    v = alpha*noise - sigma*x0 (Salimans and Ho 2022, section 4).
    """
    if prediction == "epsilon":
        return Estimate(per_image(1 / level.alpha, x - per_image(level.sigma, output)), output)
    if prediction == "sample":
        return Estimate(output, per_image(1 / level.sigma, x - per_image(level.alpha, output)))
    x0 = per_image(level.alpha, x) - per_image(level.sigma, output)
    return Estimate(x0, per_image(level.sigma, x) + per_image(level.alpha, output))


def guided(scale: Array, told: Array, untold: Array) -> Array:
    """Classifier-free guidance of outputs [B, ...]; `scale` [B] is 1 + w of Luo et al. 2023."""
    return untold + per_image(scale, told - untold)


def ddim_step(denoise: Denoise, x: Array, at: Level, after: Level) -> Array:
    """The sample at another level (Song et al. 2020, "DDIM", equation 12, with eta 0)."""
    x0, noise = denoise(x, at)
    return per_image(after.alpha, x0) + per_image(after.sigma, noise)


def jump(denoise: Denoise, x: Array, at: Level) -> Array:
    """The consistency function f(x, t) = c_skip*x + c_out*x0 (Luo et al. 2023, equation 7)."""
    c_skip, c_out = boundary_scalings(at.timestep)
    return per_image(c_skip, x) + per_image(c_out, denoise(x, at).x0)


def pseudo_huber(difference: Array, c: float) -> Array:
    """sqrt(d^2 + c^2) - c, mean over all but the first axis, [B]; near |d| where |d| is above c."""
    distance = difference**2 / (jnp.sqrt(difference**2 + c**2) + c)  # without cancellation
    return jnp.mean(distance, axis=range(1, difference.ndim))


def consistency_errors(
    student: Denoise,
    target: Denoise,
    teacher: Denoise,
    x: Array,
    at: Level,
    after: Level,
    huber: float,
) -> Array:
    """How far the student's jump is from the target's, one step of the teacher later, [B] float32.

    Luo et al. 2023, algorithm 1: latent consistency distillation with skipped steps. No derivative
    goes through the target.

    Args:
      student: what learns.
      target: the student's average, or the student.
      teacher: with its guidance.
      x: [B, ...] float32, noised data at level `at`.
      at: the level.
      after: the level one skipped step later, of less noise.
      huber: c of `pseudo_huber`.
    """
    wanted = jump(target, ddim_step(teacher, x, at, after), after)
    return pseudo_huber(jump(student, x, at) - jax.lax.stop_gradient(wanted), huber)


def two_steps_in_one(teacher: Denoise, x: Array, at: Level, between: Level, after: Level) -> Array:
    """The x0 with which one DDIM step ends where two of the teacher's do, [B, ...].

    Salimans and Ho 2022, algorithm 2.
    """
    end = ddim_step(teacher, ddim_step(teacher, x, at, between), between, after)
    ratio = after.sigma / at.sigma
    return per_image(1 / (after.alpha - ratio * at.alpha), end - per_image(ratio, x))


def progressive_errors(
    student: Denoise, teacher: Denoise, x: Array, at: Level, between: Level, after: Level
) -> Array:
    """Squared error of the student's x0, weighted by max(SNR, 1), [B] float32.

    Salimans and Ho 2022, algorithm 2 and section 4: "truncated SNR".

    Args:
      student: what learns to go from `at` to `after`.
      teacher: goes by `between`.
      x: [B, ...] float32, noised data at level `at`.
      at: the level.
      between: the level after one step of the teacher.
      after: the level after two, and after one of the student.
    """
    wanted = jax.lax.stop_gradient(two_steps_in_one(teacher, x, at, between, after))
    error = jnp.mean((student(x, at).x0 - wanted) ** 2, axis=range(1, x.ndim))
    return error * jnp.maximum((at.alpha / at.sigma) ** 2, 1.0)
