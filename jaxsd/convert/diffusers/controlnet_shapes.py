"""A ControlNet's numbers from the shapes of its tensors, for files without a config.json."""

from jaxsd.config import ControlNetConfig
from jaxsd.convert.encoder import EncoderNames, encoder_config
from jaxsd.convert.files.shapes import FileShapes

HINT = "controlnet_cond_embedding"
SIGN = f"{HINT}.conv_in.weight"
"""A tensor that every such file has, and no other."""


def configuration(shapes: FileShapes) -> tuple[ControlNetConfig, bool]:
    """The numbers, and whether transformers begin and end with dense layers.

    The file does not tell the number of heads: they are those of SD 1, or 64 channels wide.
    """
    levels = [
        [
            (f"down_blocks.{i}.resnets.{j}", f"down_blocks.{i}.attentions.{j}")
            for j in range(shapes.count(f"down_blocks.{i}.resnets."))
        ]
        for i in range(shapes.count("down_blocks."))
    ]
    modules = ("conv_in", "add_embedding.linear_1", "mid_block.attentions.0", "conv1")
    unet, linear = encoder_config(shapes, EncoderNames(*modules, levels), None)
    widening = range(1, shapes.count(f"{HINT}.blocks."), 2)
    widths = [shapes.size(f"{HINT}.blocks.{i}.weight", 0) for i in widening]
    hint = (shapes.size(SIGN, 0), *widths)
    return ControlNetConfig(unet, shapes.size(SIGN, 1), hint), linear
