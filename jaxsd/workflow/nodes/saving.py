"""Nodes that write models."""

from dataclasses import replace

import jax
import numpy as np

from jaxsd.convert import write_single_file
from jaxsd.nn.int8 import Int8
from jaxsd.workflow.schema import node
from jaxsd.workflow.values import CLIP, MODEL, VAE
from jaxsd.workflow.workspace import Workspace


@node("CheckpointSave", is_output=True)
def checkpoint_save(
    place: Workspace,
    *,
    model: MODEL,
    clip: CLIP,
    vae: VAE,
    filename_prefix: str = "checkpoints/ComfyUI",
) -> None:
    """A whole model as one file, in the original code's names and the dtypes of its weights.

    Kernels of 8 bits are written in float32.

    Raises:
      ValueError: parts that make no model together.
    """
    spec = replace(model.spec, text=clip.spec.text, vae=vae.spec.vae)
    params = {"unet": model.params, "vae": vae.params, "text": clip.params["text"]}
    params = jax.tree.map(
        lambda leaf: np.asarray(leaf) if isinstance(leaf, Int8) else leaf,
        params,
        is_leaf=lambda leaf: isinstance(leaf, Int8),
    )
    write_single_file(place.new_file(filename_prefix, ending=".safetensors"), spec, params)
