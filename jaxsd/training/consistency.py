"""Task "consistency": latent consistency distillation (Luo et al. 2023), for the sampler "lcm"."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxsd.distilled import Preset
from jaxsd.training.config import TrainConfig
from jaxsd.training.diffusion import Batch, Denoiser
from jaxsd.training.distillation import Level, consistency_errors
from jaxsd.training.finetune import opened
from jaxsd.training.loop import Task
from jaxsd.training.losses import stratified_timesteps
from jaxsd.training.step import Metrics
from jaxsd.training.students import guidance_of, mean_of, roles_of, student_task
from jaxsd.training.subtrees import Leaves
from jaxsd.types import Array


def consistency_task(config: TrainConfig) -> Task:
    """The student's jump to the picture is to be the same from two neighbouring levels.

    Raises:
      ValueError: see `student_task`, or more `original_steps` than timesteps.
    """
    model, how = opened(config), config.distillation
    train_steps = model.spec.schedule.train_steps
    if how.original_steps > train_steps:
        raise ValueError(
            f"distillation.original_steps is {how.original_steps}, it must be at most the "
            f"{train_steps} timesteps of the model"
        )
    guidance = guidance_of(config, model.spec)
    loss = partial(consistency_loss, how.original_steps, how.huber, guidance)
    steps, option = min(4, how.original_steps), f"original_steps={how.original_steps}"
    return student_task(config, model, loss, Preset("lcm", steps, 1.0, (option,)))


def consistency_loss(
    original_steps: int,
    huber: float,
    guidance: tuple[float, float],
    denoiser: Denoiser,
    trained: Leaves,
    frozen: Leaves,
    batch: Batch,
    key: Array,
) -> tuple[Array, Metrics]:
    """Mean of `consistency_errors` over the levels of the solver, T/original_steps apart.

    Args:
      key: consumed by the levels and by `roles_of`.
    """
    key_roles, key_number = jax.random.split(key)
    noising = denoiser.noising
    roles = roles_of(guidance, denoiser, trained, frozen, batch, key_roles)
    number = stratified_timesteps(key_number, len(roles.x0), noising.below, original_steps)
    skip = len(noising.alpha) // original_steps

    def level(timestep: Array) -> Level:
        return Level(timestep, noising.alpha[timestep], noising.sigma[timestep])

    # As `distillation_grid`: the last level is timestep 0.
    at, after = level(skip * (number + 1) - 1), level(jnp.maximum(skip * number - 1, 0))
    error = consistency_errors(*roles[:3], roles.noised(at), at, after, huber)
    return mean_of(error, at.timestep, batch, len(noising.alpha))
