"""Nodes of CLIP's vision towers, and of models that are told what they see."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import jax.numpy as jnp
import numpy as np

from jaxsd.convert.image_encoder import open_image_encoder
from jaxsd.convert.style_model import open_style_model
from jaxsd.models.style import StyleAdapter
from jaxsd.workflow.networks import loaded, looked_at, read_sighted, styled
from jaxsd.workflow.nodes.loaders import CheckpointName
from jaxsd.workflow.schema import InFolder, Percent, Range, node
from jaxsd.workflow.sights import clip_seen
from jaxsd.workflow.values import (
    CLIP_VISION,
    CLIP_VISION_OUTPUT,
    CONDITIONING,
    IMAGE,
    STYLE_MODEL,
    Clip,
    ClipVision,
    Conditions,
    Looked,
    Model,
    Seen,
    StyleModel,
    Vae,
)
from jaxsd.workflow.workspace import Workspace


@node("unCLIPCheckpointLoader", "MODEL", "CLIP", "VAE", "CLIP_VISION")
def unclip_checkpoint_loader(
    place: Workspace, *, ckpt_name: CheckpointName
) -> tuple[Model, Clip, Vae, ClipVision]:
    """The parts of an unCLIP model, its vision tower among them."""
    source = place.model("checkpoints", ckpt_name)
    return read_sighted(source, place.dtype, place.programs, place.reading)


@node("CLIPVisionLoader", "CLIP_VISION")
def clip_vision_loader(
    place: Workspace, *, clip_name: Annotated[str, InFolder("clip_vision")]
) -> ClipVision:
    """The vision tower of a CLIP by itself: a file, or a folder of transformers."""
    config, tensors = open_image_encoder(Path(place.model("clip_vision", clip_name)))
    params = loaded(tensors, place.dtype, "vision")
    return ClipVision(config, params, place.programs, place.computes_in)


@node("CLIPVisionEncode", "CLIP_VISION_OUTPUT")
def clip_vision_encode(
    *, clip_vision: CLIP_VISION, image: IMAGE, crop: Literal["center", "none"] = "center"
) -> Looked:
    """What a CLIP sees in pictures, in their middle or in the whole of them."""
    side = clip_vision.config.image_size
    return looked_at(clip_vision, clip_seen(image[..., :3], side, crop=crop == "center"))


@node("unCLIPConditioning", "CONDITIONING")
def unclip_conditioning(
    *,
    conditioning: CONDITIONING,
    clip_vision_output: CLIP_VISION_OUTPUT,
    strength: Annotated[float, Range(-10, 10)] = 1.0,
    noise_augmentation: Percent = 0.0,
) -> Conditions:
    """Texts with what is seen in a picture beside them, some of it noise."""
    if strength == 0:
        return conditioning
    seen = Seen(clip_vision_output.embeds, strength, noise_augmentation)
    return tuple(replace(one, seen=(*one.seen, seen)) for one in conditioning)


@node("StyleModelLoader", "STYLE_MODEL")
def style_model_loader(
    place: Workspace, *, style_model_name: Annotated[str, InFolder("style_models")]
) -> StyleModel:
    """A T2I style adapter."""
    source = Path(place.model("style_models", style_model_name))
    config, tokens, tensors = open_style_model(source)
    network = StyleAdapter(config, tokens, jnp.dtype(place.computes_in))
    return StyleModel(network, loaded(tensors, place.dtype, "style"))


@node("StyleModelApply", "CONDITIONING")
def style_model_apply(
    *,
    conditioning: CONDITIONING,
    style_model: STYLE_MODEL,
    clip_vision_output: CLIP_VISION_OUTPUT,
    strength: Annotated[float, Range(0, 10)] = 1.0,
    strength_type: Literal["multiply", "attn_bias"] = "multiply",
) -> Conditions:
    """Texts with the tokens of a picture's style behind them, times a number.

    Raises:
      ValueError: a bias of attention, or networks of other widths.
    """
    if strength_type != "multiply" and strength != 1:
        raise ValueError(f"strength_type {strength_type} is not here; give multiply")
    config, patches = style_model.network.config, clip_vision_output.patches
    widths = {one.context.shape[-1] for one in conditioning} | {config.projection_dim}
    if patches.shape[-1] != config.width or len(widths) > 1:
        raise ValueError(
            f"the style adapter is for a CLIP {config.width} wide and texts of "
            f"{config.projection_dim} numbers; take those that it was trained with"
        )
    made = styled(style_model.network, style_model.params, patches)
    tokens = strength * np.asarray(made).reshape(1, -1, config.projection_dim)
    return tuple(
        replace(one, context=np.concatenate([one.context, tokens], axis=1)) for one in conditioning
    )
