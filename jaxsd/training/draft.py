"""Task "draft": a LoRA that climbs a reward, by its derivative through the rows that draw."""

from functools import partial

import jax.numpy as jnp

from jaxsd.sampling.gradients import drawn_within
from jaxsd.training.config import TrainConfig
from jaxsd.training.diffusion import Denoiser
from jaxsd.training.finetune import lora_over, opened
from jaxsd.training.loop import Task
from jaxsd.training.prompted import Asked, begun, latent_shape, prompted_batches
from jaxsd.training.rewards import Reward, check_differentiable, reward_of, unit
from jaxsd.training.step import Metrics
from jaxsd.training.subtrees import Leaves
from jaxsd.types import Array

REWARD = "reward"
"""Where the parameters of a reward are among the frozen ones."""


def draft_task(config: TrainConfig) -> Task:
    """Trains a LoRA by the derivative of a reward through the last rows.

    Clark et al. 2024, "Directly fine-tuning diffusion models on differentiable rewards" (DRaFT-K).
    Through all rows it is AlignProp (Prabhudesai et al. 2023).

    Raises:
      ValueError: a reward without a derivative, or options that do not go together.
    """
    reward, model = reward_of(config.reward, differentiable=True), opened(config)
    side = config.resolution or model.spec.default_size
    check_differentiable(reward, config.reward.name, (config.batch_size, side, side, 3))
    shape = latent_shape(config, model.spec)
    rows, last = config.drawing.rows, config.drawing.last
    if last > rows:
        raise ValueError(f"drawing.last {last} is more than the {rows} rows of drawing.rows")
    task = lora_over(config, model, partial(draft_loss, reward, shape, last or None))
    return task._replace(
        frozen=task.frozen | {REWARD: reward.params},
        batches=lambda: prompted_batches(config, model.spec, model.tokenizers),
    )


def draft_loss(
    reward: Reward,
    shape: tuple[int, ...],
    last: int | None,
    denoiser: Denoiser,
    trained: Leaves,
    frozen: Leaves,
    batch: Asked,
    key: Array,
) -> tuple[Array, Metrics]:
    """Minus the mean reward of pictures that are drawn.

    Args:
      reward: with a derivative.
      shape: (h, w, c) of the latents.
      last: rows at the end that the derivative reaches; None for all.
      denoiser: the model.
      trained: the LoRA.
      frozen: the rest, and parameters of the reward.
      batch: what is drawn.
      key: consumed by the noise.
    """
    params = denoiser.adapt(denoiser.join(trained, frozen))
    given, steps = begun(batch, shape, key)
    drawing = drawn_within(denoiser.networks, params, given, steps, last=last)
    found = jnp.mean(reward.differentiable(frozen[REWARD], unit(drawing.images)))
    return -found, {"loss": -found, "reward": found}
