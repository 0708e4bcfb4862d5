"""Task "tiny-vae": a tiny autoencoder that learns to imitate a model's own one."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.config import TinyVAEConfig, VAEConfig, scaled
from jaxsd.convert import open_model, write_tiny_vae
from jaxsd.memory import check_trained
from jaxsd.models import VAE
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.training.autoencoder import (
    decibels,
    decode,
    encode,
    picture_error,
    random_crops,
    read_split,
    to_unit,
)
from jaxsd.training.config import TrainConfig
from jaxsd.training.loop import Task
from jaxsd.types import Array, Params


def tiny_autoencoder_task(config: TrainConfig) -> Task:
    """Distils the autoencoder of `config.model` into one that has only convolutions and ReLU.

    The probe is the PSNR between what the two decode of held-out pictures, in dB.

    Raises:
      ValueError: no model, or a crop that is not a multiple of its autoencoder's `downscale`.
    """
    if not config.model:
        raise ValueError("task 'tiny-vae' needs a model whose autoencoder it learns from")
    stored = open_model(config.model, **config.reading)
    dtype = jnp.dtype(config.dtype)
    large, shape = VAE(stored.spec.vae, dtype), tiny_shape(stored.spec.vae, config.tiny_channels)
    pixels = jax.ShapeDtypeStruct((1, config.crop, config.crop, 3), jnp.float32)
    tiny, own = TinyVAE(shape, dtype), stored.params(np.dtype(np.float32))["vae"]
    new = jax.eval_shape(tiny.init, jax.random.key(0), pixels)
    check_trained(jax.tree.leaves(new), "lower tiny_channels")
    data = read_split(config, large.config)

    def start(key: Array) -> Params:
        return jax.jit(tiny.init)(key, jnp.zeros(pixels.shape))["params"]

    def batches() -> Callable[[int, slice], np.ndarray]:
        return random_crops(config, data()[0])

    def probe(params: Params) -> dict[str, float]:
        latents = encode(large, own, data()[1])
        wanted = decode(large, own, latents)
        got = decode(tiny, params, scaled(large.config, latents))
        return {"held_out_psnr": float(np.mean(decibels(got, wanted)))}

    def write(folder: Path, params: Params) -> None:
        write_tiny_vae(folder, shape, params, overwrite=True)

    loss = partial(distillation_loss, large, tiny)
    return Task(start, {"vae": own}, loss, batches, probe, {"diffusers": write})


def tiny_shape(own: VAEConfig, channels: int) -> TinyVAEConfig:
    """TAESD's shape, for the latents of another autoencoder."""
    encoder = (1,) + (3,) * (len(own.channels) - 1)
    return TinyVAEConfig(channels, encoder, encoder[::-1], own.latent_channels, own.image_channels)


def distillation_loss(
    large: VAE, tiny: TinyVAE, params: Params, frozen: Params, images: Array, key: Array
) -> tuple[Array, dict[str, Array]]:
    """Distance between the pictures that both decode, plus the absolute error of encoded latents.

    Args:
      frozen: the large autoencoder's parameters, as "vae".
      images: [B, H, W, 3] uint8.
      key: consumed by the posterior's noise.
    """
    own = {"params": frozen["vae"]}
    pictures = to_unit(images)
    mean, log_variance = large.apply(own, pictures, method=VAE.encode)
    latents = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
    wanted = large.apply(own, latents, method=VAE.decode)
    wide = scaled(large.config, latents)
    decoded = tiny.apply({"params": params}, wide, method=TinyVAE.decode)
    encoded, _ = tiny.apply({"params": params}, pictures, method=TinyVAE.encode)
    distance = picture_error(decoded - wanted)
    apart = jnp.abs(encoded - scaled(large.config, mean)).mean()
    loss = distance + apart
    return loss, {"loss": loss, "pictures": distance, "latents": apart}
