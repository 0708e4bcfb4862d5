"""Task "unet": a U-Net and its text encoder from scratch, on latents of captioned pictures."""

import contextlib
import hashlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.config import ModelSpec, scaled
from jaxsd.convert import StoredModel, open_model
from jaxsd.memory import check_batch
from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.sampling.program import Networks
from jaxsd.schedulers import NoiseSchedule
from jaxsd.text import Tokenizer, read_tokenizer
from jaxsd.training.autoencoder import encode, read_autoencoder
from jaxsd.training.captions import check_captions
from jaxsd.training.config import TrainConfig
from jaxsd.training.data import Mixture, generator, read_pictures
from jaxsd.training.diffusion import (
    Batch,
    Denoiser,
    diffusion_loss,
    errors,
    given_latents,
    text_prediction,
)
from jaxsd.training.exports import Model, model_exports
from jaxsd.training.loop import Task
from jaxsd.training.losses import noising
from jaxsd.training.subtrees import Leaves, split
from jaxsd.types import Array, Params
from jaxsd.writing import replacing


class Data(NamedTuple):
    """The pictures as latents, in memory."""

    latents: np.ndarray  # [N, h, w, c] float32
    ids: list[np.ndarray]  # of each picture's captions, [n, L]
    templates: np.ndarray  # [N] str


def scratch_task(config: TrainConfig, spec: ModelSpec) -> Task:
    """Trains both networks of `spec` on the latents of a finished autoencoder.

    The tokenizer comes with the data: `data`/../tokenizer. If `config.model` names a model with the
    same networks, they start with its weights; the vocabulary may differ.
    """
    images = -(-config.batch_size // jax.device_count())
    check_batch(spec, spec.default_size, images, config.accumulate, latents=True)
    tokenizer = read_tokenizer(Path(config.data).parent / "tokenizer", spec.text[0])
    autoencoder = read_autoencoder(config.autoencoder, spec.vae)
    dtype = jnp.dtype(config.dtype)
    networks = Networks(
        UNet(spec.unet, dtype, config.remat),
        VAE(spec.vae, dtype),
        (TextEncoder(spec.text[0], dtype),),
    )
    initial = partial(_initial, networks, spec)
    parts = split(jax.eval_shape(initial, jax.random.key(0)), [".*"])
    tables = noising(NoiseSchedule.from_config(spec.schedule), spec.prediction, config.loss)
    predict = partial(text_prediction, networks)
    denoiser = Denoiser(networks, tables, predict, given_latents, lambda tree: tree, parts.join)

    @cache
    def data() -> Data:
        pictures = read_pictures(config.data)
        check_captions(config.data, pictures.texts, config.uncaptioned)
        latents = _encoded(config, VAE(spec.vae), autoencoder, pictures.images)
        return Data(latents, [tokenizer(texts) for texts in pictures.texts], pictures.templates)

    def start(key: Array) -> Leaves:
        if config.model:
            params = _continued(open_model(config.model, **config.reading), tokenizer)
        else:
            params = jax.jit(initial)(key)
        return split(params, [".*"]).trained

    def batches() -> Callable[[int, slice], Batch]:
        mixture = Mixture(data().templates, config.templates, data().ids)
        return partial(_batch, config, data().latents, mixture, tokenizer([""])[0])

    def probe(trained: Leaves) -> dict[str, float]:
        return _caption_losses(denoiser, data(), tokenizer([""])[0], trained)

    def model(trained: Leaves) -> Model:
        return Model(spec, parts.join(trained, {}) | {"vae": autoencoder}, (tokenizer,))

    loss = partial(diffusion_loss, denoiser)
    return Task(start, {}, loss, batches, probe, model_exports(model), model)


def _initial(networks: Networks, spec: ModelSpec, key: Array) -> Params:
    size = spec.default_size // spec.vae.downscale
    latents = jnp.zeros((1, size, size, spec.unet.in_channels))
    ids = jnp.zeros((1, spec.text[0].max_length), jnp.int32)
    context = jnp.zeros((1, spec.text[0].max_length, spec.unet.context_dim))
    key_unet, key_text = jax.random.split(key)
    unet = networks.unet.init(key_unet, latents, jnp.zeros(()), context)
    text = networks.text[0].init(key_text, ids)
    return {"unet": unet["params"], "text": [text["params"]]}


def _continued(stored: StoredModel, tokenizer: Tokenizer) -> Params:
    """The networks of a stored model; vectors of unknown tokens begin as the mean of all."""
    known = stored.params(np.dtype(np.float32))
    text = known["text"][0]
    rows = text["embeddings"]["token_embedding"]["embedding"]
    old, new = stored.tokenizers[0].vocabulary.ids, tokenizer.vocabulary.ids
    table = np.repeat(rows.mean(0, keepdims=True), len(new), axis=0)
    for token in old.keys() & new.keys():
        table[new[token]] = rows[old[token]]
    embeddings = text["embeddings"] | {"token_embedding": {"embedding": table}}
    return {"unet": known["unet"], "text": [text | {"embeddings": embeddings}]}


def _encoded(config: TrainConfig, vae: VAE, params: Params, images: np.ndarray) -> np.ndarray:
    """Scaled latents of the pictures, kept in the run's folder for the next start."""
    path = Path(config.output) / "latents.npz"
    digest = hashlib.sha256(images)
    for leaf in jax.tree.leaves(params):
        digest.update(np.ascontiguousarray(leaf))
    # A damaged file is made again; NumPy lets errors of every kind pass.
    with contextlib.suppress(Exception), np.load(path) as kept:
        if kept["of"].item() == digest.hexdigest():
            return kept["latents"]
    latents = scaled(vae.config, encode(vae, params, images))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, latents=latents, of=digest.hexdigest())
    return latents


def _batch(
    config: TrainConfig,
    latents: np.ndarray,
    mixture: Mixture,
    empty: np.ndarray,
    number: int,
    share: slice,
) -> Batch:
    rng = generator(config.seed, number)
    rows, captions = mixture.draw(config.batch_size, rng)
    captions[rng.random(len(captions)) < config.caption_dropout] = empty
    return unweighted(latents[rows[share]], captions[share])


def unweighted(latents: np.ndarray, ids: np.ndarray) -> Batch:
    """A batch for one text encoder in which every picture and caption counts."""
    ones = np.ones(len(ids), np.float32)
    return Batch(latents, (ids,), ones, None, ones)


def _caption_losses(
    denoiser: Denoiser, data: Data, empty: np.ndarray, trained: Leaves
) -> dict[str, float]:
    """The loss at the highest noise level with the right, an empty and a wrong caption.

    At that level only the text tells what the picture is, so the first loss falls far below the
    others if, and only if, the network uses the text.
    """
    plain = np.flatnonzero(data.templates == "plain")[:64]
    x0, right = data.latents[plain], np.stack([data.ids[row][0] for row in plain])
    noise = jax.random.normal(jax.random.key(0), x0.shape)
    t = jnp.full(len(x0), len(denoiser.noising.alpha) - 1)
    captions = {
        "right": right,
        "empty": np.repeat(empty[None], len(right), axis=0),
        "wrong": np.roll(right, 7, axis=0),
    }
    error = jax.jit(
        lambda trained, ids: errors(
            denoiser, denoiser.join(trained, {}), unweighted(x0, ids), x0, t, noise
        )
    )
    return {
        f"loss_{name}_caption": float(error(trained, ids).mean()) for name, ids in captions.items()
    }
