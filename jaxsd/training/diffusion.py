"""Task "unet": the U-Net, and the text encoder with it, on latents of captioned pictures."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.convert import write_diffusers
from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.schedulers import NoiseSchedule
from jaxsd.text import Tokenizer, read_tokenizer
from jaxsd.training.autoencoder import encode, read_autoencoder
from jaxsd.training.config import TrainConfig
from jaxsd.training.data import Mixture, generator, read_pictures
from jaxsd.training.loop import Task
from jaxsd.types import Array, Params


class Networks(NamedTuple):
    """The two networks that learn, and the noise they learn from."""

    unet: UNet
    text: TextEncoder
    alpha: Array  # [T] float32
    sigma: Array  # [T] float32
    prediction: str


class Batch(NamedTuple):
    """Latents with their captions."""

    latents: Array  # [B, h, w, c] float32
    ids: Array  # [B, L] int32


def diffusion_task(config: TrainConfig, spec: ModelSpec) -> Task:
    """Trains both networks of `spec` from nothing, over a finished autoencoder.

    The tokenizer is that of the data, `data`/../tokenizer.
    """
    pictures = read_pictures(config.data)
    tokenizer = read_tokenizer(Path(config.data).parent / "tokenizer", spec.text[0])
    autoencoder = read_autoencoder(config.autoencoder, spec.vae)
    latents = encode(VAE(spec.vae), autoencoder, pictures.images) * spec.vae.scaling_factor
    ids = [tokenizer(texts) for texts in pictures.texts]
    mixture = Mixture(pictures.templates, config.templates, ids)
    networks = _networks(spec)

    def batch(step: int) -> Batch:
        rng = generator(config.seed, step)
        rows, captions = mixture.draw(config.batch_size, rng)
        captions[rng.random(len(captions)) < config.caption_dropout] = tokenizer([""])[0]
        return Batch(latents[rows], captions)

    plain = np.flatnonzero(pictures.templates == "plain")[:64]
    right = Batch(latents[plain], np.stack([ids[row][0] for row in plain]))
    probe = partial(_caption_losses, networks, right, tokenizer([""]))
    write = partial(_write, spec, autoencoder, tokenizer)
    loss = partial(diffusion_loss, networks)
    return Task(partial(_initialise, networks, spec), loss, batch, probe, write)


def _networks(spec: ModelSpec) -> Networks:
    schedule = NoiseSchedule.from_config(spec.schedule)
    alpha, sigma = (jnp.asarray(x, jnp.float32) for x in (schedule.alpha, schedule.sigma))
    return Networks(UNet(spec.unet), TextEncoder(spec.text[0]), alpha, sigma, spec.prediction)


def _initialise(networks: Networks, spec: ModelSpec, key: Array) -> Params:
    size = spec.default_size // spec.vae.downscale
    latents = jnp.zeros((1, size, size, spec.unet.in_channels))
    ids = jnp.zeros((1, spec.text[0].max_length), jnp.int32)
    context = jnp.zeros((1, spec.text[0].max_length, spec.unet.context_dim))
    key_unet, key_text = jax.random.split(key)
    unet = networks.unet.init(key_unet, latents, jnp.zeros(()), context)
    text = networks.text.init(key_text, ids)
    return {"unet": unet["params"], "text": text["params"]}


def target(prediction: str, alpha: Array, sigma: Array, x0: Array, noise: Array) -> Array:
    """What the network should say at x = alpha*x0 + sigma*noise.

    v = alpha*noise - sigma*x0 (Salimans and Ho 2022, section 4).
    """
    return {"epsilon": noise, "v": alpha * noise - sigma * x0, "sample": x0}[prediction]


def stratified_timesteps(key: Array, batch: int, train_steps: int) -> Array:
    """One timestep in each of B equal strata, [B] int32 (Kingma et al. 2021, appendix I.1)."""
    return ((jnp.arange(batch) + jax.random.uniform(key)) * (train_steps / batch)).astype(jnp.int32)


def errors(networks: Networks, params: Params, batch: Batch, t: Array, noise: Array) -> Array:
    """Mean squared error of each image's prediction at timestep t [B], [B] float32."""
    alpha, sigma = (x[t][:, None, None, None] for x in (networks.alpha, networks.sigma))
    context = networks.text.apply({"params": params["text"]}, batch.ids).context
    x = alpha * batch.latents + sigma * noise
    output = networks.unet.apply({"params": params["unet"]}, x, t, context)
    wanted = target(networks.prediction, alpha, sigma, batch.latents, noise)
    return jnp.mean((output - wanted) ** 2, axis=(1, 2, 3))


def diffusion_loss(
    networks: Networks, params: Params, batch: Batch, key: Array
) -> tuple[Array, dict[str, Array]]:
    """Mean squared error over all noise levels, each of weight 1.

    With v and zero terminal SNR a min-SNR weight would silence the noisiest levels, the very ones
    where the text decides.

    Args:
      key: consumed by the timesteps and the noise.
    """
    key_t, key_noise = jax.random.split(key)
    t = stratified_timesteps(key_t, len(batch.latents), len(networks.alpha))
    noise = jax.random.normal(key_noise, batch.latents.shape)
    error = errors(networks, params, batch, t, noise)
    quarter = len(error) // 4
    return error.mean(), {
        "loss": error.mean(),
        "loss_low_noise": error[:quarter].mean(),
        "loss_high_noise": error[-quarter:].mean(),
    }


def _caption_losses(
    networks: Networks, right: Batch, empty: np.ndarray, params: Params
) -> dict[str, float]:
    """The loss at the highest noise level with the right, an empty and a wrong caption.

    There the text alone can tell what the picture is, so the first falls far below the others when,
    and only when, the text has taken hold.
    """
    noise = jax.random.normal(jax.random.key(0), right.latents.shape)
    t = jnp.full(len(right.latents), len(networks.alpha) - 1)
    captions = {
        "right": right.ids,
        "empty": np.repeat(empty, len(right.ids), axis=0),
        "wrong": np.roll(right.ids, 7, axis=0),
    }
    error = jax.jit(partial(errors, networks))
    return {
        f"loss_{name}_caption": float(error(params, right._replace(ids=ids), t, noise).mean())
        for name, ids in captions.items()
    }


def _write(
    spec: ModelSpec,
    autoencoder: Params,
    tokenizer: Tokenizer,
    folder: Path,
    step: int,
    params: Params,
) -> None:
    del step  # a model folder has no place for it
    tree = {"unet": params["unet"], "vae": autoencoder, "text": [params["text"]]}
    write_diffusers(folder, spec, tree, tokenizers=[tokenizer], overwrite=True)
