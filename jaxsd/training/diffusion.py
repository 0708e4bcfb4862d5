"""Errors of a denoiser on noisy pictures, for any trained part of the model."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsd.config import VAEConfig, scaled
from jaxsd.models import VAE
from jaxsd.sampling.latents import posterior
from jaxsd.sampling.program import Networks, Texts, encoded_texts
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

    pictures: Array  # [B, H, W, 3] uint8; latents [B, h, w, c] float32, or moments with 2c
    ids: tuple[Array, ...]  # [B, L] int32, one per text encoder
    keep: Array  # [B] float32, 0 where the text is replaced by zeros
    time_ids: Array | None  # [B, n] float32, for models with added conditions
    weight: Array  # [B] float32, of each picture's loss
    condition: Array | None = None  # [B, H, W, 3] uint8, for a ControlNet
    embedded: tuple[Array, Array] | None = None  # context [B, L, d], pooled [B, p] float32 of `ids`


class Told(NamedTuple):
    """The U-Net's conditions: its inputs besides latents and timestep."""

    context: Array  # [B, L, d] float32
    pooled: Array | None  # [B, p] float32
    time_ids: Array | None  # [B, n] float32


Predict = Callable[[Params, Told, Batch, Array, Array], Array]
"""(parameters, the U-Net's conditions, batch, noisy latents, timesteps) -> prediction."""


class Denoiser(NamedTuple):
    """A model in training; static except for the tables of `noising`."""

    networks: Networks
    noising: Noising
    predict: Predict
    latents: Callable[[Params, Array, Array], Array]  # (params, pictures, key) -> scaled latents
    adapt: Callable[[Params], Params]  # tree of trained and frozen leaves -> the model's own tree
    join: Callable[[Leaves, Leaves], Params]


DenoiserLoss = Callable[[Denoiser, Leaves, Leaves, Batch, Array], tuple[Array, Metrics]]
"""(denoiser, trained, frozen, batch, key) -> the loss, and metrics."""


def posterior_latents(networks: Networks, params: Params, pictures: Array, key: Array) -> Array:
    """Scaled latents [B, h, w, c] of uint8 pictures, drawn from the posterior (key consumed)."""
    vae = networks.vae
    images = pictures.astype(jnp.float32) / 127.5 - 1.0
    moments = vae.apply({"params": params["vae"]}, images, method=VAE.encode)
    return _drawn(*moments, vae.config, key)


def latents_of_moments(vae: VAEConfig, params: Params, moments: Array, key: Array) -> Array:
    """Draws scaled latents [B, h, w, c]; mean and log variance are [B, h, w, 2c] (key consumed)."""
    del params
    mean, log_variance = jnp.split(moments.astype(jnp.float32), 2, axis=-1)
    return _drawn(mean, log_variance, vae, key)


def _drawn(mean: Array, log_variance: Array, vae: VAEConfig, key: Array) -> Array:
    noise = jax.random.normal(key, mean.shape)
    return scaled(vae, posterior(mean, log_variance, noise))


def given_latents(params: Params, latents: Array, key: Array) -> Array:
    """Returns the latents; for pictures that are latents already."""
    del params, key
    return latents


def text_prediction(
    networks: Networks, params: Params, told: Told, batch: Batch, x: Array, t: Array
) -> Array:
    """The U-Net's prediction from the text."""
    del batch
    guidance = jnp.ones(len(x)) if networks.unet.config.guidance_dim is not None else None
    return networks.unet.apply({"params": params["unet"]}, x, t, *told, guidance)


def told(networks: Networks, params: Params, batch: Batch) -> Told:
    """The U-Net's conditions; texts are encoded, unless the batch has their embeddings already."""
    if batch.embedded is None:
        texts = Texts(tuple(ids[:, None] for ids in batch.ids), batch.keep[:, None])
        context, pooled = encoded_texts(networks, params, texts)
        return Told(context[:, 0], None if pooled is None else pooled[:, 0], batch.time_ids)
    context, pooled = (array.astype(jnp.float32) for array in batch.embedded)
    return Told(
        context=context * batch.keep[:, None, None],
        pooled=pooled * batch.keep[:, None] if networks.unet.config.added is not None else None,
        time_ids=batch.time_ids,
    )


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
    output = denoiser.predict(
        params, told(networks, params, batch), batch, alpha * x0 + sigma * noise, t
    )
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
