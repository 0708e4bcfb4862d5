"""How a single file of unCLIP sees a picture: a vision tower in OpenCLIP's names, and statistics.

Stability's code loads the statistics of CLIP-L's embeddings from another file, and has none for
OpenCLIP-H, so no published single file holds them.
"""

import warnings
from dataclasses import replace

import numpy as np

from jaxsd.config import SightConfig
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree, in_memory
from jaxsd.convert.original.names import NORMALIZER, VISION
from jaxsd.families import UNCLIP_NOISE, VISION_H, VISION_L
from jaxsd.terminal import printable

_TOWERS = {tower.width: tower for tower in (VISION_L, VISION_H)}


def sight_of(tensors: FlatTree) -> SightConfig | None:
    """How the model of a file sees a picture; None of most models.

    Raises:
      ValueError: a vision tower that is none of those that unCLIP has.
    """
    shapes = FileShapes(tensors, VISION)
    if "conv1.weight" not in shapes:
        return None
    width, patch = (shapes.size("conv1.weight", axis) for axis in (0, 2))
    if width not in _TOWERS:
        known = " or ".join(map(str, _TOWERS))
        raise ValueError(f"its vision tower is {width} wide, and that of unCLIP {known}")
    side = round(max(0, shapes.size("positional_embedding", 0) - 1) ** 0.5)
    vision = replace(
        _TOWERS[width],
        layers=shapes.count("transformer.resblocks."),
        mlp_width=shapes.size("transformer.resblocks.0.mlp.c_fc.weight", 0),
        image_size=side * patch,
        patch_size=patch,
        projection_dim=shapes.size("proj", 1),
    )
    return SightConfig(vision, UNCLIP_NOISE)


def with_statistics(tensors: FlatTree, sight: SightConfig, where: str) -> FlatTree:
    """The tensors with the mean and the deviation of a picture's embeddings.

    A file without them gets 0 and 1, as in ComfyUI. That is Stability's configuration for
    OpenCLIP-H; for CLIP-L it is not, which is said in a line that begins with `where`.
    """
    usual = {f"{NORMALIZER}mean": 0, f"{NORMALIZER}std": 1}
    if usual.keys() & tensors.keys():
        return tensors
    width = sight.vision.projection_dim
    if width == VISION_L.projection_dim:
        line = (
            f"{where}: it lacks the mean and the deviation of CLIP-L's embeddings; 0 and 1 are "
            "taken, as in ComfyUI, which changes what noise_level does; diffusers' folder has them"
        )
        warnings.warn(printable(line), stacklevel=2)
    return tensors | {
        name: in_memory(np.full((1, width), value, np.float32)) for name, value in usual.items()
    }
