"""The names that PyTorch's modules give to our paths, by rule.

A path is diffusers' name with list indices joined (`down_blocks.0` -> `down_blocks_0`) and other
words for some leaves.
"""

import re

from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.slots import Slot, unet_kind

_LISTS = (
    "down_blocks|up_blocks|resnets|attentions|transformer_blocks|downsamplers|upsamplers|net|"
    "to_out|layers|controlnet_down_blocks|blocks|conv|motion_modules|linears"
)
_INDEXED = re.compile(rf"\b({_LISTS})_(\d+)(?=/)")
_LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight"}
PROJECTIONS = ("text_projection", "visual_projection")


def torch_name(path: str) -> str:
    """The name in a diffusers or transformers file: `conv_in/kernel` -> `conv_in.weight`."""
    module, leaf = _INDEXED.sub(r"\1.\2", path).rsplit("/", 1)
    return f"{module.replace('/', '.')}.{_LEAVES.get(leaf, leaf)}"


def torch_slots(shapes: Shapes, *, prefix: str = "", linear: bool = True) -> list[Slot]:
    """Slots of a network in a file of diffusers or transformers.

    `prefix` is what names begin with, except those of a CLIP's projections; `linear` as in
    `unet_kind`.
    """
    return [
        Slot(
            path,
            ("" if path.startswith(PROJECTIONS) else prefix) + torch_name(path),
            unet_kind(path, shape, linear=linear),
        )
        for path, shape in shapes.items()
    ]
