"""A tiny autoencoder that learns from a large one."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tiny_models import apply, random_params
from tiny_runs import TINY_VAE, tiny_model
from tiny_vaes import tiny_vae_weights

from jaxsd.config import VAEConfig
from jaxsd.convert import open_model
from jaxsd.convert.tiny_vae import open_tiny_vae, with_tiny_vae
from jaxsd.models import VAE
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.training.autoencoder import decibels, picture_error
from jaxsd.training.config import TrainConfig
from jaxsd.training.loop import train
from jaxsd.training.record import read_metrics
from jaxsd.training.tiny_autoencoder import (
    distillation_loss,
    tiny_autoencoder_task,
    tiny_shape,
)


def test_its_shape_is_that_of_taesd_for_latents_of_sd() -> None:
    shape = tiny_shape(VAEConfig(channels=(128, 256, 512, 512)), 64)
    assert (shape.encoder_blocks, shape.decoder_blocks) == ((1, 3, 3, 3), (3, 3, 3, 1))
    assert (shape.channels, shape.latent_channels, shape.downscale) == (64, 4, 8)


def test_the_error_of_a_picture_by_hand() -> None:
    # The same everywhere: no differences, and 0.2 at each of the three scales, two of them by half.
    np.testing.assert_allclose(picture_error(jnp.full((1, 8, 8, 3), -0.2)), 0.4, rtol=1e-6)
    # A chessboard: 0.1 of pixels, 0.2 of differences along both sides by half, nothing if coarser.
    board = 0.1 * (-1.0) ** np.add.outer(np.arange(8), np.arange(8))
    np.testing.assert_allclose(picture_error(jnp.asarray(board)[None, ..., None]), 0.3, rtol=1e-6)


def test_decibels_by_hand() -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    wanted = images + np.array([255, 51], np.uint8)[:, None, None, None]
    np.testing.assert_allclose(decibels(images, wanted), [0, 20 * np.log10(5)], rtol=1e-12)


def test_the_loss_compares_with_the_large_one() -> None:
    """By its definition, with a posterior so narrow that its noise is nothing."""
    config = replace(TINY_VAE, scaling_factor=0.5)
    large, shape = VAE(config), tiny_shape(config, 8)
    tiny, params = TinyVAE(shape), tiny_vae_weights(shape)
    like = jax.eval_shape(large.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]
    own = random_params(like)
    own["quant_conv"]["bias"][4:] = -60
    own["quant_conv"]["kernel"][..., 4:] = 0
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    pictures = (images / 127.5 - 1).astype(np.float32)
    mean, _ = apply(large, own, "encode", images=pictures)
    wanted = apply(large, own, "decode", latents=mean)
    decoded = apply(tiny, params, "decode", latents=0.5 * mean)
    encoded, _ = apply(tiny, params, "encode", images=pictures)
    loss, parts = jax.jit(partial(distillation_loss, large, tiny))(
        params, {"vae": own}, images, jax.random.key(1)
    )
    np.testing.assert_allclose(parts["pictures"], picture_error(decoded - wanted), rtol=1e-4)
    np.testing.assert_allclose(parts["latents"], np.abs(encoded - 0.5 * mean).mean(), rtol=1e-4)
    np.testing.assert_allclose(loss, parts["pictures"] + parts["latents"], rtol=1e-6)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A run of a few steps on six pictures, and a model to learn from."""
    root = tmp_path_factory.mktemp("tiny-vae")
    rng, lines = np.random.default_rng(0), []
    for i in range(6):
        pixels = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"{i}.png")
        lines.append(json.dumps({"file_name": f"{i}.png", "text": f"thing {i}"}))
    (root / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return TrainConfig(
        task="tiny-vae",
        model=str(tiny_model(root / "model")),
        data=str(root),
        output=str(root / "run"),
        steps=12,
        batch_size=4,
        learning_rate=1e-2,
        warmup_steps=1,
        ema_decay=0.0,
        log_every=1,
        crop=8,
        tiny_channels=8,
    )


def test_a_run_gets_nearer_and_its_folder_serves_the_model(config: TrainConfig) -> None:
    train(config, tiny_autoencoder_task(config))
    lines = read_metrics(Path(config.output))
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    assert np.isfinite(lines[-1]["held_out_psnr"])
    folder = Path(config.output) / "model"
    shape, _ = open_tiny_vae(folder)
    assert shape == tiny_shape(TINY_VAE, 8)
    assert with_tiny_vae(open_model(config.model), folder).spec.vae == shape


def test_what_it_can_not_learn_from_is_one_line(config: TrainConfig) -> None:
    with pytest.raises(ValueError, match="'tiny-vae' needs a model"):
        tiny_autoencoder_task(replace(config, model=""))
    with pytest.raises(ValueError, match="crop 9 is not a multiple of 2 pixels"):
        tiny_autoencoder_task(replace(config, crop=9))


def test_one_picture_is_too_few(config: TrainConfig, tmp_path: Path) -> None:
    lines = (Path(config.data) / "metadata.jsonl").read_text().splitlines()
    (tmp_path / "metadata.jsonl").write_text(lines[0] + "\n")
    (tmp_path / "0.png").write_bytes((Path(config.data) / "0.png").read_bytes())
    with pytest.raises(ValueError, match="two or more are needed"):
        tiny_autoencoder_task(replace(config, data=str(tmp_path))).batches()
