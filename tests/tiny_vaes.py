"""Tiny autoencoders with random weights, in diffusers' folders."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
from tiny_models import random_params

from jaxsd.config import TinyVAEConfig
from jaxsd.convert.diffusers_names import vae_slots
from jaxsd.convert.safetensors_file import write_safetensors
from jaxsd.convert.slots import lay_out
from jaxsd.convert.tensors import flatten
from jaxsd.convert.tiny_vae import tiny_vae_parameters
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.types import Params


def tiny_vae_weights(config: TinyVAEConfig) -> Params:
    images = jax.ShapeDtypeStruct((1, 16, 16, config.image_channels), jnp.float32)
    return random_params(jax.eval_shape(TinyVAE(config).init, jax.random.key(0), images)["params"])


def write_tiny_vae(folder: Path, config: TinyVAEConfig, **settings: object) -> Path:
    """A folder as diffusers writes it."""
    folder.mkdir()
    widths = [config.channels] * len(config.encoder_blocks)
    table = {
        "_class_name": "AutoencoderTiny",
        "act_fn": "relu",
        "decoder_block_out_channels": widths,
        "encoder_block_out_channels": widths,
        "latent_channels": config.latent_channels,
        "latent_magnitude": 3,
        "latent_shift": 0.5,
        "num_decoder_blocks": list(config.decoder_blocks),
        "num_encoder_blocks": list(config.encoder_blocks),
        "scaling_factor": 1.0,
        "upsampling_scaling_factor": 2,
    }
    (folder / "config.json").write_text(json.dumps(table | settings))
    shapes = tiny_vae_parameters(config)
    tensors = lay_out(vae_slots(shapes), shapes, flatten(tiny_vae_weights(config)), "it")
    write_safetensors(folder / "diffusion_pytorch_model.safetensors", tensors, {"format": "pt"})
    return folder
