"""Motion modules of random weights, under the names of diffusers and of AnimateDiff's own files."""

import re
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tiny_models import uniform

from jaxsd.config import UNetConfig, motion_places
from jaxsd.convert.adapter_parameters import motion_parameters
from jaxsd.convert.names import torch_slots
from jaxsd.models.motion import positions

FRAMES = 24
"""That they know positions of."""
_ORIGINAL = {
    ".norm1.": ".norms.0.",
    ".norm2.": ".norms.1.",
    ".norm3.": ".ff_norm.",
    ".attn1.": ".attention_blocks.0.",
    ".attn2.": ".attention_blocks.1.",
}


def motion_tensors(unet: UNetConfig, *, middle: bool = True) -> dict[str, np.ndarray]:
    """Those for a U-Net, by diffusers' names, without positions."""
    places = list(motion_places(unet))[: None if middle else -1]
    shapes, made = motion_parameters(places, 1), {}
    for slot in torch_slots(shapes):
        shape = shapes[slot.path][::-1]
        gain = 0.2 if len(shape) == 1 else np.prod(shape[1:]) ** -0.5
        drawn = np.float32(gain) * uniform(slot.name, shape)
        made[slot.name] = drawn + np.float32("norm" in slot.name and slot.name.endswith("weight"))
    return made


def original_name(name: str) -> str:
    """The name in AnimateDiff's files of one of diffusers."""
    name = re.sub(r"(motion_modules\.\d+)\.", r"\1.temporal_transformer.", name)
    for modern, original in _ORIGINAL.items():
        name = name.replace(modern, original)
    return name


def write_original(path: Path, unet: UNetConfig, *, middle: bool = True) -> Path:
    """A file as AnimateDiff's, which has the positions."""
    made = {original_name(name): t for name, t in motion_tensors(unet, middle=middle).items()}
    for name, tensor in list(made.items()):
        if name.endswith(".to_q.weight"):
            table = positions(FRAMES, tensor.shape[1])[None].astype(np.float32)
            made[name.replace("to_q.weight", "pos_encoder.pe")] = table
    save_file(made, path)
    return path
