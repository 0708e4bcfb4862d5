"""Nodes of CLIP's vision towers, and of models that are told what they see."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from jaxsd.convert.image_encoder import open_image_encoder
from jaxsd.workflow.networks import embedded, loaded, read_sighted
from jaxsd.workflow.nodes.loaders import CheckpointName
from jaxsd.workflow.schema import InFolder, Percent, Range, node
from jaxsd.workflow.sights import clip_seen
from jaxsd.workflow.values import (
    CLIP_VISION,
    CLIP_VISION_OUTPUT,
    CONDITIONING,
    IMAGE,
    Clip,
    ClipVision,
    Conditions,
    Model,
    Seen,
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
) -> np.ndarray:
    """The embeddings of pictures, of their middle or of the whole of them."""
    side = clip_vision.config.image_size
    return embedded(clip_vision, clip_seen(image[..., :3], side, crop=crop == "center"))


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
    seen = Seen(clip_vision_output, strength, noise_augmentation)
    return tuple(replace(one, seen=(*one.seen, seen)) for one in conditioning)
