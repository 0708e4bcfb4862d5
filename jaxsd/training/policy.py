"""Task "ddpo": a LoRA that climbs a reward by policy gradients; the reward needs no derivative.

Black et al. 2024, "Training diffusion models with reinforcement learning" (DDPO-IS): the actions
are the rows of an ancestral sampler.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.images import to_uint8
from jaxsd.sampling import Step
from jaxsd.sampling.actions import acts, log_densities, play
from jaxsd.sampling.program import Given, decode, encode, of_loop
from jaxsd.settings import tableau_of
from jaxsd.training.config import TrainConfig
from jaxsd.training.diffusion import Denoiser
from jaxsd.training.finetune import lora_over, opened
from jaxsd.training.loop import Task
from jaxsd.training.prompted import (
    Asked,
    begun,
    latent_shape,
    prompted_batches,
    prompts_in,
    settings_of,
)
from jaxsd.training.rewards import Reward, measured, reward_of
from jaxsd.training.rounds import make_rounds
from jaxsd.training.step import Metrics, TrainState, split_over
from jaxsd.training.subtrees import Leaves
from jaxsd.types import Array, Params


class Experience(NamedTuple):
    """Pictures that were drawn, and how good they were."""

    given: Given  # leaves [B, ...]
    steps: Step  # leaves [S, B, ...]
    samples: Array  # [S+1, B, h, w, c]
    log_densities: Array  # [S, B] as they were drawn
    advantages: Array  # [B]


def ddpo_task(config: TrainConfig) -> Task:
    """Trains a LoRA by rewards of pictures that it draws.

    Raises:
      ValueError: a sampler whose rows are no actions, or options that do not go together.
    """
    if jax.process_count() > 1:
        raise ValueError("task 'ddpo' runs on one host, which looks at all pictures")
    reward, model = reward_of(config.reward, differentiable=False), opened(config)
    first, *_ = settings_of(config, model.spec, [""])
    if not acts(tableau_of(first, model.spec)):
        raise ValueError(
            f"drawing.sampler {config.drawing.sampler!r} adds no noise, or its rows look at "
            "earlier ones; choose euler_a, ddpm, lcm, or ddim with drawing.eta=1"
        )

    def step(denoiser: Denoiser) -> Any:
        shape = latent_shape(config, model.spec)

        def made(loss: Any, rule: Any, ema_decay: float, places: TrainState | None = None) -> Any:
            @jax.jit
            def draw(*args: Any) -> tuple[Experience, Array]:
                with split_over(places):
                    return drawn(denoiser, shape, *args)

            play = partial(experience, draw, reward, config, prompts_in(config))
            return make_rounds(play, config.policy.updates, loss, rule, ema_decay, places)

        return made

    task = lora_over(config, model, partial(policy_loss, config.policy.clip), step)
    each = config.policy.pictures
    return task._replace(
        batches=lambda: prompted_batches(config, model.spec, model.tokenizers, each)
    )


def drawn(
    denoiser: Denoiser,
    shape: tuple[int, ...],
    trained: Leaves,
    frozen: Leaves,
    batch: Asked,
    key: Array,
) -> tuple[Experience, Array]:
    """What is drawn, with advantages of 0, and images [B, H, W, 3].

    Args:
      denoiser: the model.
      shape: (h, w, c) of the latents.
      trained: the LoRA.
      frozen: the rest.
      batch: what is drawn.
      key: consumed by the noise.
    """
    params, networks = denoiser.adapt(denoiser.join(trained, frozen)), denoiser.networks
    given, steps = begun(batch, shape, key)
    conditions, state = encode(networks, params, given)
    network, _, hooks = of_loop(networks, params, steps, conditions, state)
    samples, found = play(steps, network, state.samples[:, 0], given.keys, **hooks)
    images = decode(networks, params, samples[-1])
    return Experience(given, steps, samples, found, jnp.zeros(len(images))), images


def experience(
    draw: Any,
    reward: Reward,
    config: TrainConfig,
    prompts: Sequence[str],
    trained: Params,
    frozen: Params,
    batches: Asked,
    key: Array,
) -> tuple[Experience, dict[str, Array]]:
    """Draws the batches of a round, leaves [A, ...], and measures their rewards."""
    several, rewards = [], []
    for number in range(len(batches.number)):
        batch = jax.tree.map(lambda leaf, n=number: leaf[n], batches)
        own, images = draw(trained, frozen, batch, jax.random.fold_in(key, number))
        numbers = np.asarray(batch.number)
        found = measured(
            reward,
            config.reward.name,
            to_uint8(np.asarray(images)),
            [prompts[number] for number in numbers],
        )
        several.append(own._replace(advantages=jnp.float32(advantages(found, numbers))))
        rewards.append(found)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *several)
    return stacked, {"reward": jnp.float32(np.mean(rewards))}


def advantages(rewards: np.ndarray, prompts: np.ndarray) -> np.ndarray:
    """Rewards [B] less their mean, in standard deviations, among pictures of the same prompt.

    Args:
      rewards: see above.
      prompts: [B] numbers of the prompts.
    """
    found = np.zeros(len(rewards))
    for prompt in np.unique(prompts):
        own = prompts == prompt
        spread = rewards[own].std()
        if spread > 0:
            found[own] = (rewards[own] - rewards[own].mean()) / spread
    return found


def policy_loss(
    clip: float, denoiser: Denoiser, trained: Leaves, frozen: Leaves, batch: Experience, key: Array
) -> tuple[Array, Metrics]:
    """Minus the clipped objective of rows that were drawn with earlier weights.

    Args:
      clip: see `clipped_loss`.
      denoiser: the model.
      trained: the LoRA.
      frozen: the rest.
      batch: what was drawn.
      key: not needed.
    """
    del key
    params, networks = denoiser.adapt(denoiser.join(trained, frozen)), denoiser.networks
    conditions, state = encode(networks, params, batch.given)
    network, _, hooks = of_loop(networks, params, batch.steps, conditions, state)
    found = log_densities(batch.steps, network, batch.samples, **hooks)
    acting = batch.steps.row.noise[:, :, 0] > 0
    loss, outside = clipped_loss(found - batch.log_densities, batch.advantages, clip, acting)
    return loss, {"loss": loss, "clipped": outside}


def clipped_loss(
    log_ratios: Array, advantages: Array, clip: float, acting: Array
) -> tuple[Array, Array]:
    """The loss of PPO (Schulman et al. 2017, equation 7), and the share of ratios beyond `clip`.

    The loss is the sum over rows and the mean over pictures. Where all ratios are 1, minus its
    gradient is the policy gradient, without a bias.

    Args:
      log_ratios: [S, B] of the rows' densities, of the trained model to that which drew.
      advantages: [B].
      clip: ratios count as far as 1 - clip and 1 + clip, where that makes the objective lower.
      acting: [S, B] bool, rows that add noise.
    """
    ratios = jnp.exp(log_ratios)
    inside = jnp.clip(ratios, 1 - clip, 1 + clip)
    lower = jnp.minimum(ratios * advantages[None], inside * advantages[None])
    loss = -jnp.where(acting, lower, 0).sum(0).mean()
    outside = jnp.where(acting, jnp.abs(ratios - 1) > clip, False)
    return loss, outside.sum() / acting.sum()
