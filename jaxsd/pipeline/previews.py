"""Small pictures of latents that are still being drawn."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from jaxsd.config import TinyVAEConfig
from jaxsd.convert.files.tensors import dtype_named, load
from jaxsd.convert.stored_model import StoredModel
from jaxsd.convert.tiny_vae import with_tiny_vae
from jaxsd.images import to_uint8
from jaxsd.latent_colours import coloured, colours_for
from jaxsd.parallel import placing
from jaxsd.pipeline.pipeline import Pipeline
from jaxsd.types import Array

Previewer = Callable[[Array], np.ndarray]
"""Scaled latents [B, h, w, c], as `Shown.state.x0` -> pictures uint8 [B, H, W, 3]."""


def previewer(pipe: Pipeline, taesd: str | Path | None = None) -> Previewer:
    """What makes previews of a pipeline's latents.

    Args:
      pipe: a model. One that decodes with a tiny autoencoder uses it for previews too.
      taesd: folder or file of a tiny autoencoder; None for one pixel for each latent, of the colour
        that it has by itself, which costs nothing.

    Raises:
      ValueError: a tiny autoencoder of other latents, or latents whose colours are not known.
      FileNotFoundError: no such folder or file.
    """
    if taesd is None and isinstance(pipe.spec.vae, TinyVAEConfig):
        return pipe.decode
    if taesd is None:
        return partial(flat_preview, name=colours_for(pipe.spec))
    model = with_tiny_vae(StoredModel(pipe.spec, {}), taesd).converted(dtype_named(pipe.dtype))
    named = {f"vae/{path}": tensor for path, tensor in model.tensors["vae"].items()}
    place = placing(pipe.mesh)
    return replace(pipe, spec=model.spec, params=pipe.params | load(named, place)).decode


def flat_preview(latents: Array, name: str) -> np.ndarray:
    """Pictures of one pixel for each latent, uint8 [B, h, w, 3], by a table of `COLOURS`."""
    return to_uint8(coloured(latents, name))
