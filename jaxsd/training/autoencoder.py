"""Task "vae": trains the autoencoder on random crops, then scales latents to unit variance."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxsd.checkpoint import Checkpoints
from jaxsd.config import VAEConfig
from jaxsd.convert import open_model
from jaxsd.images import to_uint8
from jaxsd.memory import check_crops
from jaxsd.models import VAE
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.training.config import TrainConfig
from jaxsd.training.data import crops, generator, read_pictures
from jaxsd.training.exports import Model, model_exports
from jaxsd.training.loop import Task
from jaxsd.types import Array, Params

HELD_OUT_EVERY = 50


def autoencoder_task(config: TrainConfig, fresh: VAEConfig) -> Task:
    """Trains on the pictures of a folder; the probe is the PSNR of every fiftieth, held out.

    It starts from the autoencoder of `config.model`, which can then be exported with the rest of
    the model; or, if no model is named, from random weights.

    Args:
      fresh: shape of the autoencoder if no model is named.

    Raises:
      ValueError: a crop that is not a multiple of the autoencoder's `downscale`.
    """
    stored = open_model(config.model, **config.reading) if config.model else None
    vae = VAE(stored.spec.vae if stored else fresh, jnp.dtype(config.dtype))
    data = read_split(config, vae.config)

    def start(key: Array) -> Params:
        if stored:
            return stored.params(np.dtype(np.float32))["vae"]
        return jax.jit(vae.init)(key, jnp.zeros((1, config.crop, config.crop, 3)))["params"]

    def batches() -> Callable[[int, slice], np.ndarray]:
        return random_crops(config, data()[0])

    def probe(params: Params) -> dict[str, float]:
        return {"held_out_psnr": float(np.mean(psnr(vae, params, data()[1])))}

    def write(folder: Path, params: Params) -> None:
        images = data()[0]
        moments = latent_moments(vae, params, images[:: len(images) // 512 + 1])
        saved = Checkpoints(folder, keep=1)
        saved.save(config.steps, whitened(params, *moments))
        saved.close()

    def whole(params: Params) -> Model:
        others = stored.params(np.dtype(np.float32))
        return Model(stored.spec, others | {"vae": params}, stored.tokenizers)

    exports = {"orbax": write} | (model_exports(whole) if stored else {})
    return Task(start, {}, partial(reconstruction_loss, vae), batches, probe, exports)


def read_autoencoder(run: str | Path, model: VAEConfig) -> Params:
    """The weights that a finished run of this task wrote.

    Raises:
      FileNotFoundError: the run wrote none.
    """
    size = 2 * model.downscale
    like = jax.eval_shape(VAE(model).init, jax.random.key(0), jnp.zeros((1, size, size, 3)))
    saved = Checkpoints(Path(run) / "model")
    params = saved.restore(like["params"])
    saved.close()
    return jax.device_get(params)


def read_split(config: TrainConfig, vae: VAEConfig) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """A function that reads `config.data` once: pictures to train on, at most 64 held out, uint8.

    Args:
      vae: of the autoencoder that sees the crops.

    Raises:
      ValueError: a crop that is not a multiple of `vae.downscale`, crops that do not fit into
        memory; and, when it reads, pictures that are smaller than a crop.
    """
    if config.crop % vae.downscale:
        raise ValueError(f"crop {config.crop} is not a multiple of {vae.downscale} pixels")
    check_crops(vae, config.crop, -(-config.batch_size // jax.device_count()), config.accumulate)

    @cache
    def data() -> tuple[np.ndarray, np.ndarray]:
        images = read_pictures(config.data).images
        if len(images) < 2:
            raise ValueError(f"{config.data}: one picture is held out, so two or more are needed")
        if config.crop > min(images.shape[1:3]):
            height, width = images.shape[1:3]
            raise ValueError(
                f"crop {config.crop} is more than the pictures in {config.data} have, which are "
                f"{width} x {height}"
            )
        seen = np.arange(len(images)) % HELD_OUT_EVERY != 0
        return images[seen], images[~seen][:64]

    return data


def random_crops(config: TrainConfig, images: np.ndarray) -> Callable[[int, slice], np.ndarray]:
    """(number of a batch, which of its rows) -> those crops, uint8."""

    def batch(number: int, share: slice) -> np.ndarray:
        rng = generator(config.seed, number)
        return crops(images, config.batch_size, config.crop, rng)[share]

    return batch


def to_unit(images: Array) -> Array:
    """uint8 [..., 3] -> float32 in [-1, 1]."""
    return jnp.asarray(images, jnp.float32) / 127.5 - 1.0


def reconstruction_loss(
    vae: VAE, params: Params, frozen: Params, images: Array, key: Array
) -> tuple[Array, dict[str, Array]]:
    """`picture_error` of the decoded pictures, plus 1e-3 KL.

    Args:
      frozen: unused.
      images: [B, H, W, 3] uint8.
      key: consumed by the posterior's noise.
    """
    del frozen
    target = to_unit(images)
    mean, log_variance = vae.apply({"params": params}, target, method=VAE.encode)
    noise = jax.random.normal(key, mean.shape)
    latents = mean + jnp.exp(0.5 * log_variance) * noise
    error = vae.apply({"params": params}, latents, method=VAE.decode) - target
    kl = 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance).mean()
    loss = picture_error(error) + 1e-3 * kl
    return loss, {"loss": loss, "pixels": jnp.abs(error).mean(), "kl": kl}


def picture_error(error: Array) -> Array:
    """Absolute error of pixels, plus half that of their differences and of two coarser scales.

    Args:
      error: [B, H, W, c] difference of pictures.
    """
    half = _pooled(error)
    edges = jnp.abs(jnp.diff(error, axis=1)).mean() + jnp.abs(jnp.diff(error, axis=2)).mean()
    coarse = jnp.abs(half).mean() + jnp.abs(_pooled(half)).mean()
    return jnp.abs(error).mean() + 0.5 * edges + 0.5 * coarse


def _pooled(x: Array) -> Array:
    """Means of 2 x 2 pixels."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def encode(vae: VAE, params: Params, images: np.ndarray, batch: int = 16) -> np.ndarray:
    """Posterior means [N, h, w, c] float32 of uint8 pictures."""
    means = jax.jit(lambda p, x: vae.apply({"params": p}, to_unit(x), method=VAE.encode)[0])
    return _in_batches(lambda x: means(params, x), images, batch)


def decode(vae: VAE | TinyVAE, params: Params, latents: np.ndarray, batch: int = 16) -> np.ndarray:
    """Pictures uint8 [N, H, W, 3] of unscaled latents."""
    images = jax.jit(lambda p, z: vae.apply({"params": p}, z, method="decode"))
    return to_uint8(_in_batches(lambda z: images(params, z), latents, batch))


def _in_batches(function: Callable[[Array], Array], x: np.ndarray, batch: int) -> np.ndarray:
    padded = np.concatenate([x, np.repeat(x[-1:], -len(x) % batch, axis=0)])
    starts = tqdm(range(0, len(padded), batch), unit="batch", delay=5, leave=False)
    parts = [np.asarray(function(padded[i : i + batch])) for i in starts]
    return np.concatenate(parts)[: len(x)]


def psnr(vae: VAE, params: Params, images: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio [N] in dB of each uint8 picture's reconstruction."""
    return decibels(decode(vae, params, encode(vae, params, images)), images)


def decibels(images: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio [N] in dB of each of two uint8 arrays of pictures."""
    error = np.mean((images.astype(np.float64) - wanted) ** 2, axis=(1, 2, 3))
    return 10 * np.log10(255**2 / error)


def latent_moments(vae: VAE, params: Params, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each latent channel, [c] float32."""
    latents = encode(vae, params, images)
    return latents.mean((0, 1, 2)), latents.std((0, 1, 2))


def whitened(params: Params, mean: np.ndarray, deviation: np.ndarray) -> Params:
    """The same autoencoder with latents (z - mean) / deviation, folded into the 1x1 convolutions.

    Afterwards `scaling_factor` is 1, and images are unchanged.
    """
    quant, post = dict(params["quant_conv"]), dict(params["post_quant_conv"])
    scale = np.concatenate([1 / deviation, np.ones_like(deviation)]).astype(np.float32)
    shift = np.concatenate([-mean / deviation, -2 * np.log(deviation)]).astype(np.float32)
    quant["kernel"] = np.asarray(quant["kernel"]) * scale[None, None, None]
    quant["bias"] = np.asarray(quant["bias"]) * scale + shift
    kernel = np.asarray(post["kernel"])
    post["bias"] = np.asarray(post["bias"]) + mean @ kernel[0, 0]
    post["kernel"] = kernel * deviation[None, None, :, None]
    return params | {"quant_conv": quant, "post_quant_conv": post}
