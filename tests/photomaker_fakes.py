"""A tiny PhotoMaker of random weights, by the names in the authors' file."""

from collections.abc import Sequence

import numpy as np
from tiny_models import uniform

from jaxsd.config import VisionConfig
from jaxsd.convert.diffusers.parts import PARTS, PROJECTED_VISION
from jaxsd.convert.slots import _file_shape

WIDTHS = (32, 48)
"""Of the tiny XL's text encoders."""


def tower(widths: Sequence[int] = WIDTHS) -> VisionConfig:
    """Its vision tower, with one head of 64 numbers as in a ViT-L/14."""
    return VisionConfig(64, 2, 1, 48, "quick_gelu", 16, 8, projection_dim=sum(widths))


def photomaker_tensors(widths: Sequence[int] = WIDTHS) -> dict[str, np.ndarray]:
    """What the table `id_encoder` holds."""
    config, part, width = tower(widths), PARTS[PROJECTED_VISION], sum(widths)
    shapes = part.shapes(config)
    named = {slot.name: _file_shape(shapes[slot.path], slot.kind) for slot in part.slots(shapes)}
    for name, own in zip(("visual_projection", "visual_projection_2"), widths, strict=True):
        named[f"{name}.weight"] = (own, config.width)
    for name, inputs in (("mlp1", 2 * width), ("mlp2", width)):
        for layer, shape in (("layernorm", (inputs,)), ("fc1", (width, inputs))):
            named[f"fuse_module.{name}.{layer}.weight"] = shape
            named[f"fuse_module.{name}.{layer}.bias"] = shape[:1]
        named[f"fuse_module.{name}.fc2.weight"] = (width, width)
        named[f"fuse_module.{name}.fc2.bias"] = (width,)
    named |= {f"fuse_module.layer_norm.{kind}": (width,) for kind in ("weight", "bias")}
    return {name: _values(name, shape) for name, shape in named.items()}


def _values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) > 1:
        return uniform(name, shape) / np.float32(np.prod(shape[1:]) ** 0.5)
    return np.float32(name.endswith("norm.weight")) + np.float32(0.2) * uniform(name, shape)
