"""Tiny autoencoders with random weights, in diffusers' folders."""

import json
from pathlib import Path

from tiny_models import abstract_vae, random_params

from jaxsd.config import TinyVAEConfig
from jaxsd.convert import write_tiny_vae
from jaxsd.types import Params


def tiny_vae_weights(config: TinyVAEConfig) -> Params:
    return random_params(abstract_vae(config))


def tiny_vae_folder(folder: Path, config: TinyVAEConfig, **settings: object) -> Path:
    """A folder as diffusers writes it, but for some of its settings."""
    write_tiny_vae(folder, config, tiny_vae_weights(config))
    where = folder / "config.json"
    where.write_text(json.dumps(json.loads(where.read_text()) | settings))
    return folder
