"""Errors of a denoiser on noisy pictures, whatever part of the model is trained."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsd.models import VAE
from jaxsd.sampling.program import Conditions, Networks, Request, encode, guided_network
from jaxsd.training.losses import (
    Noising,
    losses_by_noise,
    noise_like,
    stratified_timesteps,
    target,
)
from jaxsd.training.step import Metrics
from jaxsd.training.subtrees import Leaves
from jaxsd.types import Array, Params


class Batch(NamedTuple):
    """Captioned pictures."""

    pictures: Array  # [B, H, W, 3] uint8; or latents [B, h, w, c] float32
    ids: tuple[Array, ...]  # [B, L] int32, one per text encoder
    keep: Array  # [B] float32, 0 where the text is replaced by zeros
    time_ids: Array | None  # [B, n] float32, for models with added conditions
    weight: Array  # [B] float32, of each picture's loss
    condition: Array | None = None  # [B, H, W, 3] uint8, for a ControlNet


Predict = Callable[[Params, Conditions, Batch, Array, Array], Array]
"""(parameters, conditions, batch, noisy latents, timesteps) -> prediction."""


class Denoiser(NamedTuple):
    """A model that is trained; static but for the tables of `noising`."""

    networks: Networks
    noising: Noising
    predict: Predict
    latents: Callable[[Params, Array, Array], Array]  # (params, pictures, key) -> scaled latents
    adapt: Callable[[Params], Params]  # what is trained and what is frozen -> the model's own tree
    join: Callable[[Leaves, Leaves], Params]


def posterior_latents(networks: Networks, params: Params, pictures: Array, key: Array) -> Array:
    """Scaled latents [B, h, w, c] of uint8 pictures, drawn from the posterior (key consumed)."""
    vae = networks.vae
    images = pictures.astype(jnp.float32) / 127.5 - 1.0
    mean, log_variance = vae.apply({"params": params["vae"]}, images, method=VAE.encode)
    noise = jax.random.normal(key, mean.shape)
    return (mean + jnp.exp(0.5 * log_variance) * noise) * vae.config.scaling_factor


def given_latents(params: Params, latents: Array, key: Array) -> Array:
    """For pictures that are latents already."""
    del params, key
    return latents


def text_prediction(
    networks: Networks, params: Params, conditions: Conditions, batch: Batch, x: Array, t: Array
) -> Array:
    """What the U-Net says, given the text."""
    del batch
    return guided_network(networks, params, conditions, guided=False)(x, t)


def errors(
    denoiser: Denoiser, params: Params, batch: Batch, x0: Array, t: Array, noise: Array
) -> Array:
    """Mean squared error of each image's prediction, [B] float32.

    Args:
      params: the model's own tree.
      x0: [B, h, w, c] float32 scaled latents.
      t: [B] int32 timesteps.
      noise: like x0.
    """
    noising, networks = denoiser.noising, denoiser.networks
    alpha, sigma = (table[t][:, None, None, None] for table in (noising.alpha, noising.sigma))
    unguided = jnp.ones(len(x0))
    request = Request(batch.ids, batch.keep, batch.time_ids, unguided, noise, keys=t)
    conditions = encode(networks, params, request)
    output = denoiser.predict(params, conditions, batch, alpha * x0 + sigma * noise, t)
    wanted = target(noising.prediction, alpha, sigma, x0, noise)
    return jnp.mean((output - wanted) ** 2, axis=(1, 2, 3))


def diffusion_loss(
    denoiser: Denoiser, trained: Leaves, frozen: Leaves, batch: Batch, key: Array
) -> tuple[Array, Metrics]:
    """Weighted mean squared error over all noise levels.

    Args:
      key: consumed by the posterior, the timesteps and the noise.
    """
    key_posterior, key_t, key_noise = jax.random.split(key, 3)
    noising = denoiser.noising
    params = denoiser.adapt(denoiser.join(trained, frozen))
    x0 = jax.lax.stop_gradient(denoiser.latents(params, batch.pictures, key_posterior))
    train_steps = len(noising.alpha)
    t = stratified_timesteps(key_t, len(x0), noising.below, train_steps)
    noise = noise_like(key_noise, x0, noising.offset)
    error = errors(denoiser, params, batch, x0, t, noise)
    loss = jnp.mean(error * noising.weight[t] * batch.weight)
    return loss, {"loss": loss} | losses_by_noise(error, t, train_steps)
