"""Nodes that write models."""

from dataclasses import replace
from typing import Annotated, Literal

import jax
import numpy as np

from jaxsd.adapters.lora_extracting import write_extracted
from jaxsd.convert import write_single_file
from jaxsd.nn.int8 import Int8
from jaxsd.workflow.continuous import LOGARITHM, continuous_of
from jaxsd.workflow.schema import Range, node
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
      ValueError: parts that make no model together, or noise that a file can not state.
    """
    stated = continuous_of(model.spec)
    if model.continuous not in (stated, LOGARITHM if model.spec.prediction == "v" else stated):
        raise ValueError(
            "a file can not say that a model of continuous noise has neither EDM's scales nor "
            "predicts v; save the model before ModelSamplingContinuousEDM or ContinuousV"
        )
    spec = replace(model.spec, text=clip.spec.text, vae=vae.spec.vae)
    params = {"unet": model.params, "vae": vae.params, "text": clip.params["text"]}
    params = jax.tree.map(
        lambda leaf: np.asarray(leaf) if isinstance(leaf, Int8) else leaf,
        params,
        is_leaf=lambda leaf: isinstance(leaf, Int8),
    )
    write_single_file(place.new_file(filename_prefix, ending=".safetensors"), spec, params)


@node("LoraSave", is_output=True)
def lora_save(
    place: Workspace,
    *,
    filename_prefix: str = "loras/ComfyUI_extracted_lora",
    rank: Annotated[int, Range(1, 4096)] = 8,
    lora_type: Literal["standard", "full_diff"] = "standard",
    bias_diff: bool = True,
    model_diff: MODEL | None = None,
    text_encoder_diff: CLIP | None = None,
) -> None:
    """A LoRA of what ModelMergeSubtract and CLIPMergeSubtract give.

    Raises:
      ValueError: neither of them, or two that make no model together.
    """
    if model_diff is None and text_encoder_diff is None:
        raise ValueError("there is nothing to save; link model_diff or text_encoder_diff")
    difference, spec = {}, (model_diff or text_encoder_diff).spec
    if model_diff is not None:
        difference["unet"] = model_diff.params
    if text_encoder_diff is not None:
        difference["text"] = text_encoder_diff.params["text"]
        if [one.width for one in spec.text] != [one.width for one in text_encoder_diff.spec.text]:
            raise ValueError("model_diff and text_encoder_diff are not of one family")
        spec = replace(spec, text=text_encoder_diff.spec.text)
    file = place.new_file(filename_prefix, ending=".safetensors")
    factors = None if lora_type == "full_diff" else rank
    write_extracted(file, difference, spec, rank=factors, biases=bias_diff)
