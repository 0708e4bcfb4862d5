"""ControlNets in the names of the original code."""

from jaxsd.config import ControlNetConfig
from jaxsd.convert.adapter_parameters import controlnet_parameters
from jaxsd.convert.encoder import encoder_config
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.names import torch_slots
from jaxsd.convert.original.modules import RESNET, controlnet_modules, encoder_names, renamed_slots
from jaxsd.convert.slots import Slot

SIGN = "input_hint_block.0.weight"
"""A tensor that every such file has, and no other."""


def configuration(shapes: FileShapes) -> tuple[ControlNetConfig, bool]:
    """The numbers, and whether transformers begin and end with dense layers."""
    unet, linear = encoder_config(shapes, encoder_names(shapes), None)
    return ControlNetConfig(unet, shapes.size(SIGN, 1), hint_channels(shapes)), linear


def hint_channels(shapes: FileShapes) -> tuple[int, ...]:
    """Widths of the network that reads the image."""
    # Every second module is a convolution, every second of those widens, the last is the output.
    widths, number = [shapes.size(SIGN, 0)], 4
    while f"input_hint_block.{number + 2}.weight" in shapes:
        widths.append(shapes.size(f"input_hint_block.{number}.weight", 0))
        number += 4
    return tuple(widths)


def original_slots(config: ControlNetConfig, *, linear: bool) -> list[Slot]:
    """Slots of a single file in the original code's names, without a prefix."""
    slots = torch_slots(controlnet_parameters(config), linear=linear)
    return renamed_slots(slots, controlnet_modules(config), RESNET)
