"""Tiny autoencoders with random weights, in diffusers' folders."""

import json
from pathlib import Path

from tiny_models import random_params, tree_of

from jaxsd.config import TinyVAEConfig
from jaxsd.convert import write_tiny_vae
from jaxsd.convert.parameters import tiny_vae_parameters
from jaxsd.types import Params


def tiny_vae_weights(config: TinyVAEConfig) -> Params:
    return random_params(tree_of(tiny_vae_parameters(config)))


def tiny_vae_folder(folder: Path, config: TinyVAEConfig, **settings: object) -> Path:
    """A folder as diffusers writes it, but for some of its settings."""
    write_tiny_vae(folder, config, tiny_vae_weights(config))
    where = folder / "config.json"
    where.write_text(json.dumps(json.loads(where.read_text()) | settings))
    return folder
