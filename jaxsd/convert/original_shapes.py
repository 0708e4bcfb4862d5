"""The numbers of a U-Net's encoder half, from its tensors' shapes in the original code's names.

The original code's configs say more than shapes can tell, but never varied it, so that it is
constant here: 32 groups in every norm, 8 heads in SD 1, and 64 channels per head in all others.
"""

import re

from jaxsd.config import Level, UNetConfig
from jaxsd.convert.file_shapes import FileShapes
from jaxsd.convert.unet_settings import added_conditions

HEAD_WIDTH = 64
TIME_ID_WIDTH = 256
_SD1_HEADS = 8


def encoder_config(shapes: FileShapes, pooled_dim: int) -> tuple[UNetConfig, bool]:
    """A U-Net as its encoder half tells it, and whether its transformers' ends are dense layers.

    `pooled_dim` is the width of the pooled text that XL's added conditions start with.

    Raises:
      ValueError: if it is no Stable Diffusion that networks here can be.
    """
    key = shapes.ending(".attn2.to_k.weight")
    if key is None:
        raise ValueError("its U-Net has no cross-attention, which every Stable Diffusion has")
    linear = shapes.rank(f"{key.split('.transformer_blocks.')[0]}.proj_in.weight") == 2
    added = None
    if "label_emb.0.0.weight" in shapes:
        features = shapes.size("label_emb.0.0.weight", 1)
        added = added_conditions(
            features=features, pooled_dim=pooled_dim, width=TIME_ID_WIDTH, where="its label_emb"
        )
    config = UNetConfig(
        levels=_levels(shapes, linear),
        context_dim=shapes.size(key, 1),
        mid_depth=_depth(shapes, "middle_block.1"),
        in_channels=shapes.size("input_blocks.0.0.weight", 1),
        added=added,
    )
    return config, linear


def _levels(shapes: FileShapes, linear: bool) -> tuple[Level, ...]:
    """Input blocks in order: resnets, and a downsampling after each level but the last."""
    levels: list[Level] = []
    resnets = 0
    for number in range(1, shapes.count(r"input_blocks\.(\d+)\.")):
        block = f"input_blocks.{number}"
        if f"{block}.0.op.weight" in shapes:
            resnets = 0
            continue
        resnets += 1
        channels = shapes.size(f"{block}.0.in_layers.2.weight", 0)
        heads = channels // HEAD_WIDTH if linear else _SD1_HEADS
        level = Level(channels, resnets, _depth(shapes, f"{block}.1"), heads)
        if resnets > 1:
            before = levels.pop()
            if before.attention_depth != level.attention_depth:
                raise ValueError(
                    f"its U-Net has attention of depth {before.attention_depth} and "
                    f"{level.attention_depth} in one level, which is not supported"
                )
        levels.append(level)
    return tuple(levels)


def _depth(shapes: FileShapes, place: str) -> int:
    return shapes.count(re.escape(place) + r"\.transformer_blocks\.(\d+)\.")
