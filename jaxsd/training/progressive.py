"""Task "progressive": one halving of progressive distillation, for the sampler "ddim"."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxsd.distilled import Preset
from jaxsd.schedulers import Grid, NoiseSchedule
from jaxsd.schedulers.grid import training_grid
from jaxsd.training.config import TrainConfig
from jaxsd.training.diffusion import Batch, Denoiser
from jaxsd.training.distillation import Level, progressive_errors
from jaxsd.training.finetune import opened
from jaxsd.training.loop import Task
from jaxsd.training.losses import stratified_timesteps
from jaxsd.training.step import Metrics
from jaxsd.training.students import guidance_of, mean_of, roles_of, student_task
from jaxsd.training.subtrees import Leaves
from jaxsd.types import Array


def progressive_task(config: TrainConfig) -> Task:
    """The student's step is to end where two of the teacher's do (Salimans and Ho 2022).

    Raises:
      ValueError: see `student_task`, or more steps than half of the timesteps.
    """
    model, steps = opened(config), config.distillation.steps
    train_steps = model.spec.schedule.train_steps
    if 2 * steps > train_steps:
        raise ValueError(
            f"distillation.steps is {steps}, it must be at most half of the {train_steps} "
            "timesteps of the model"
        )
    grid = teacher_grid(NoiseSchedule.from_config(model.spec.schedule), steps)
    loss = partial(progressive_loss, grid, guidance_of(config, model.spec))
    return student_task(config, model, loss, Preset("ddim", steps, 1.0, ("spacing=trailing",)))


def teacher_grid(schedule: NoiseSchedule, steps: int) -> Grid:
    """The teacher's DDIM grid; every second level is one of a student of so many steps."""
    return training_grid(schedule, 2 * steps, spacing="trailing")


def progressive_loss(
    grid: Grid,
    guidance: tuple[float, float],
    denoiser: Denoiser,
    trained: Leaves,
    frozen: Leaves,
    batch: Batch,
    key: Array,
) -> tuple[Array, Metrics]:
    """Mean of `progressive_errors` over the steps of the student.

    Args:
      grid: the teacher's, see `teacher_grid`.
      key: consumed by the steps and by `roles_of`.
    """
    key_roles, key_number = jax.random.split(key)
    noising = denoiser.noising
    roles = roles_of(guidance, denoiser, trained, frozen, batch, key_roles)
    first = 2 * stratified_timesteps(key_number, len(roles.x0), noising.below, grid.steps // 2)
    timestep = jnp.asarray([*grid.timestep, 0], jnp.int32)  # no network is called at the end
    alpha, sigma = (jnp.asarray(level, jnp.float32) for level in (grid.alpha, grid.sigma))
    at, between, after = (
        Level(timestep[i], alpha[i], sigma[i]) for i in (first, first + 1, first + 2)
    )
    error = progressive_errors(roles.student, roles.teacher, roles.noised(at), at, between, after)
    return mean_of(error, at.timestep, batch, len(noising.alpha))
