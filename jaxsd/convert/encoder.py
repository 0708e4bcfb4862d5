"""The numbers of a U-Net's encoder half, from the shapes of a file's tensors.

Shapes do not tell all numbers. The others never varied in the original code's configs, so they are
constant here: 32 groups in every norm, 8 heads in SD 1, and 64 channels per head in all others.
"""

import math
from typing import NamedTuple

from jaxsd.config import Level, UNetConfig
from jaxsd.convert.added_conditions import added_conditions, pooled_dim
from jaxsd.convert.files.shapes import FileShapes

HEAD_WIDTH = 64
_TIME_ID_WIDTH = 256
_SD1_HEADS = 8
_GROUPS = 32

Resnets = list[tuple[str, str]]
"""Names of each resnet of a level and of the attention after it, which may be missing."""


class EncoderNames(NamedTuple):
    """A file's names of the modules that tell the numbers of an encoder.

    Attributes:
      conv_in: the first convolution.
      added: the first layer of XL's added conditions; None where it is of something else.
      middle: the attention in the middle.
      conv1: the first convolution of a resnet, relative to the resnet's name.
      levels: of each level, its resnets.
    """

    conv_in: str
    added: str | None
    middle: str
    conv1: str
    levels: list[Resnets]


def encoder_config(
    shapes: FileShapes, names: EncoderNames, pooled: int | None
) -> tuple[UNetConfig, bool]:
    """A U-Net's numbers by its encoder half, and whether its transformers' ends are dense layers.

    `pooled` is the width of the pooled text that XL's added conditions start with; None stands for
    what six time ids leave.

    Raises:
      ValueError: if it is not a Stable Diffusion that networks here support.
    """
    key = shapes.ending(".attn2.to_k.weight")
    if key is None:
        raise ValueError("its U-Net has no cross-attention, which every Stable Diffusion has")
    linear = shapes.rank(f"{key.split('.transformer_blocks.')[0]}.proj_in.weight") == 2
    added = None
    if names.added and f"{names.added}.weight" in shapes:
        features, where = shapes.size(f"{names.added}.weight", 1), f"its {names.added}"
        if pooled is None:
            pooled = pooled_dim(features, _TIME_ID_WIDTH, where)
        added = added_conditions(features, pooled, _TIME_ID_WIDTH, where)
    sd1 = not linear and added is None
    levels = tuple(_level(shapes, names, resnets, sd1=sd1) for resnets in names.levels if resnets)
    config = UNetConfig(
        levels=levels,
        context_dim=shapes.size(key, 1),
        mid_depth=_depth(shapes, names.middle),
        in_channels=shapes.size(f"{names.conv_in}.weight", 1),
        norm_groups=math.gcd(_GROUPS, *(level.channels for level in levels)),
        added=added,
    )
    return config, linear


def check_groups(config: UNetConfig) -> None:
    """Refuses a U-Net that is not made of 32 groups of channels, where nothing else says of what.

    Raises:
      ValueError: naming the widths.
    """
    widths = [level.channels for level in config.levels]
    if config.norm_groups != _GROUPS:
        raise ValueError(f"its U-Net has {widths} channels, which are not multiples of {_GROUPS}")


def check_heads(config: UNetConfig) -> None:
    """Refuses a U-Net whose heads can not be of 64 channels, where nothing else says of how many.

    Raises:
      ValueError: naming the widths.
    """
    widths = [level.channels for level in config.levels if level.attention_depth]
    if any(width % HEAD_WIDTH for width in widths):
        raise ValueError(
            f"its U-Net has attention at {widths} channels, which are not multiples of {HEAD_WIDTH}"
        )


def _level(shapes: FileShapes, names: EncoderNames, resnets: Resnets, *, sd1: bool) -> Level:
    depths = [_depth(shapes, attention) for _, attention in resnets]
    if len(set(depths)) > 1:
        raise ValueError(
            f"its U-Net has attention of depths {depths} in one level, which is not supported"
        )
    channels = shapes.size(f"{resnets[0][0]}.{names.conv1}.weight", 0)
    heads = _SD1_HEADS if sd1 else max(1, channels // HEAD_WIDTH)
    return Level(channels, len(resnets), depths[0], heads)


def _depth(shapes: FileShapes, place: str) -> int:
    return shapes.count(f"{place}.transformer_blocks.")
