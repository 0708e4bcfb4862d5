"""Task "dpo": a LoRA that prefers what people prefer, of pairs of pictures."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jaxsd.training.cached import is_cache
from jaxsd.training.captions import REJECTED
from jaxsd.training.config import TrainConfig
from jaxsd.training.diffusion import Batch, Denoiser, errors
from jaxsd.training.finetune import lora_over, opened
from jaxsd.training.loop import Task
from jaxsd.training.losses import noise_like, stratified_timesteps
from jaxsd.training.step import Metrics
from jaxsd.training.subtrees import Leaves
from jaxsd.types import Array


def dpo_task(config: TrainConfig) -> Task:
    """Trains a LoRA on pairs of a preferred and a rejected picture of the same caption.

    Raises:
      ValueError: latents in place of pictures; when batches are made, pictures without a pair.
    """
    if is_cache(config.data):
        raise ValueError(f"{config.data} holds latents, and pairs are pictures; set data to those")
    task = lora_over(config, opened(config), partial(dpo_loss, config.loss.dpo_beta))

    def batches() -> Callable[[int, slice], Batch]:
        batch = task.batches()
        if batch(0, slice(0, config.batch_size)).condition is None:
            raise ValueError(
                f"{config.data}: not every picture has a {REJECTED} in its metadata.jsonl, the "
                "picture that is not preferred"
            )
        return batch

    return task._replace(batches=batches)


def dpo_loss(
    beta: float, denoiser: Denoiser, trained: Leaves, frozen: Leaves, batch: Batch, key: Array
) -> tuple[Array, Metrics]:
    """Wallace et al. 2024, "Diffusion model alignment using direct preference optimization".

    Equation 14, with the weight of all noise levels in `beta`. Both pictures of a pair are given
    the same noise.

    Args:
      beta: how strongly the model is held to the one that it began as.
      denoiser: the model.
      trained: the LoRA.
      frozen: the rest.
      batch: preferred pictures, and the rejected ones as `condition`.
      key: consumed by the posteriors, the timesteps and the noise.
    """
    key_posterior, key_t, key_noise = jax.random.split(key, 3)
    noising, tree = denoiser.noising, denoiser.join(trained, frozen)
    params = denoiser.adapt(tree)
    both = jnp.concatenate([batch.pictures, batch.condition])
    x0 = jax.lax.stop_gradient(denoiser.latents(params, both, key_posterior))
    count = len(batch.pictures)
    t = stratified_timesteps(key_t, count, noising.below, len(noising.alpha))
    noise = noise_like(key_noise, x0[:count], noising.offset)
    pair = batch._replace(pictures=None, condition=None)
    pair, t, noise = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), (pair, t, noise))
    own = errors(denoiser, params, pair, x0, t, noise)
    reference = {name: part for name, part in tree.items() if name != "lora"}
    before = errors(denoiser, jax.lax.stop_gradient(reference), pair, x0, t, noise)
    margins = preference_margins(own.reshape(2, count), before.reshape(2, count), beta)
    loss = -jnp.mean(jax.nn.log_sigmoid(margins) * batch.weight)
    return loss, {"loss": loss, "preferred": jnp.mean(margins > 0)}


def preference_margins(own: Array, before: Array, beta: float) -> Array:
    """How much more a model prefers the first pictures than the one that it began as, [B].

    Args:
      own: [2, B] mean squared errors for the preferred and the rejected pictures.
      before: the same of the model in the beginning.
      beta: of diffusers' and TRL's examples, where errors are means over a picture's numbers.
    """
    gains = own - before
    return -0.5 * beta * (gains[0] - gains[1])
