"""Modules of the original code's U-Net and of its ControlNet, paired with diffusers' names."""

from jaxsd.config import ControlNetConfig, UNetConfig
from jaxsd.convert.encoder import EncoderNames, Resnets
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.slots import Slot

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}

Modules = dict[str, str]
"""diffusers' name of a module -> the original's."""


def renamed(name: str, modules: Modules, inner: Modules) -> str:
    """The original's name of diffusers' `name`, whose module, or one above it, is in `modules`."""
    module, leaf = name.rsplit(".", 1)
    above, within = module, ""
    while above not in modules:
        above, _, last = above.rpartition(".")
        within = f"{last}.{within}" if within else last
    middle = f".{inner.get(within, within)}" if within else ""
    return f"{modules[above]}{middle}.{leaf}"


def renamed_slots(
    slots: list[Slot], modules: Modules, inner: Modules, prefix: str = ""
) -> list[Slot]:
    """Slots under the original's names, from those under diffusers' names."""
    return [slot._replace(name=prefix + renamed(slot.name, modules, inner)) for slot in slots]


def unet_modules(config: UNetConfig) -> Modules:
    """Modules of a U-Net."""
    modules = {
        # LCM is younger than the original code; converters leave this name as it is.
        "time_embedding.cond_proj": "time_embedding.cond_proj",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    return _encoder_modules(config) | modules | _output_blocks(config)


def controlnet_modules(config: ControlNetConfig) -> Modules:
    """Modules of a ControlNet. In the hint network, activations are numbered too."""
    modules = {
        f"controlnet_cond_embedding.blocks.{i}": f"input_hint_block.{2 * i + 2}"
        for i in range(2 * (len(config.hint_channels) - 1))
    }
    last = 2 * len(modules) + 2
    modules |= {
        "controlnet_cond_embedding.conv_in": "input_hint_block.0",
        "controlnet_cond_embedding.conv_out": f"input_hint_block.{last}",
        "controlnet_mid_block": "middle_block_out.0",
    }
    for i in range(len(config.unet.skip_channels)):
        modules[f"controlnet_down_blocks.{i}"] = f"zero_convs.{i}.0"
    return _encoder_modules(config.unet) | modules


def _encoder_modules(config: UNetConfig) -> Modules:
    """Modules of both, U-Net and ControlNet: everything up to the middle."""
    modules = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "class_embedding": "label_emb",
        "class_embedding.linear_1": "label_emb.0.0",
        "class_embedding.linear_2": "label_emb.0.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2" if config.mid_depth else "middle_block.1",
    }
    return modules | _input_blocks(config)


def _input_blocks(config: UNetConfig) -> Modules:
    """One block per resnet and per downsampling, in one numbering; block 0 is `conv_in`."""
    modules: Modules = {}
    number = 1
    for i, level in enumerate(config.levels):
        for j in range(level.resnets):
            modules[f"down_blocks.{i}.resnets.{j}"] = f"input_blocks.{number}.0"
            modules[f"down_blocks.{i}.attentions.{j}"] = f"input_blocks.{number}.1"
            number += 1
        modules[f"down_blocks.{i}.downsamplers.0.conv"] = f"input_blocks.{number}.0.op"
        number += 1
    return modules


def _output_blocks(config: UNetConfig) -> Modules:
    """One block per resnet, in one numbering; the last block of a level ends with upsampling."""
    modules: Modules = {}
    number = 0
    for i, level in enumerate(config.levels[::-1]):
        for j in range(level.resnets + 1):
            modules[f"up_blocks.{i}.resnets.{j}"] = f"output_blocks.{number}.0"
            modules[f"up_blocks.{i}.attentions.{j}"] = f"output_blocks.{number}.1"
            number += 1
        place = 2 if level.attention_depth else 1
        modules[f"up_blocks.{i}.upsamplers.0.conv"] = f"output_blocks.{number - 1}.{place}.conv"
    return modules


def encoder_names(shapes: FileShapes) -> EncoderNames:
    """Input blocks in order: resnets, and a downsampling after each level but the last."""
    levels: list[Resnets] = [[]]
    for number in range(1, shapes.count("input_blocks.")):
        block = f"input_blocks.{number}"
        if f"{block}.0.op.weight" in shapes:
            levels.append([])
        else:
            levels[-1].append((f"{block}.0", f"{block}.1"))
    return EncoderNames(
        "input_blocks.0.0", "label_emb.0.0", "middle_block.1", "in_layers.2", levels
    )
