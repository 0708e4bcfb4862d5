"""Tiny autoencoders with random weights, in diffusers' folders."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
from tiny_models import random_params

from jaxsd.config import TinyVAEConfig
from jaxsd.convert import write_tiny_vae
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.types import Params


def tiny_vae_weights(config: TinyVAEConfig) -> Params:
    images = jax.ShapeDtypeStruct((1, 16, 16, config.image_channels), jnp.float32)
    return random_params(jax.eval_shape(TinyVAE(config).init, jax.random.key(0), images)["params"])


def tiny_vae_folder(folder: Path, config: TinyVAEConfig, **settings: object) -> Path:
    """A folder as diffusers writes it, but for some of its settings."""
    write_tiny_vae(folder, config, tiny_vae_weights(config))
    where = folder / "config.json"
    where.write_text(json.dumps(json.loads(where.read_text()) | settings))
    return folder
