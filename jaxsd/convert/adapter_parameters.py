"""Which parameters the networks have that stand beside a model: tables path -> shape."""

from collections.abc import Iterable
from itertools import pairwise

from jaxsd.config import ControlNetConfig, MotionPlace, UNetConfig, VisionConfig
from jaxsd.convert.layer_shapes import (
    Shapes,
    attention,
    conv,
    dense,
    feed_forward,
    norm,
    transformer,
)
from jaxsd.convert.parameters import encoder_half, unet_parameters, vision_parameters


def motion_parameters(places: Iterable[MotionPlace], depth: int) -> Shapes:
    """Path -> shape of motion modules at these places, of so many transformer blocks each.

    They are a U-Net's own transformers, but for their second attention, which is to frames too.
    """
    shapes: Shapes = {}
    for place in places:
        shapes |= transformer(place.name, place.channels, depth, place.channels)
    return shapes


def position_net_parameters(text_width: int, width: int) -> Shapes:
    """Path -> shape of the network that makes GLIGEN's tokens [width] of texts [text_width]."""
    position, hidden = 64, 512  # sines and cosines of 8 frequencies for 4 sides
    return {
        "null_positive_feature": (text_width,),
        "null_position_feature": (position,),
        **dense("linears_0", text_width + position, hidden),
        **dense("linears_2", hidden, hidden),
        **dense("linears_4", hidden, width),
    }


def fuser_parameters(config: UNetConfig) -> Shapes:
    """Path -> shape of GLIGEN's layers, one in each transformer block of a U-Net."""
    shapes: Shapes = {}
    query = "/attn2/to_q/kernel"
    for path, shape in unet_parameters(config).items():
        if not path.endswith(query):
            continue
        layer, width = f"{path.removesuffix(query)}/fuser", shape[1]
        shapes |= {
            f"{layer}/alpha_attn": (),
            f"{layer}/alpha_dense": (),
            **dense(f"{layer}/linear", config.context_dim, width),
            **norm(f"{layer}/norm1", width),
            **attention(f"{layer}/attn", width, width),
            **norm(f"{layer}/norm2", width),
            **feed_forward(f"{layer}/ff", width),
        }
    return shapes


def controlnet_parameters(config: ControlNetConfig) -> Shapes:
    """Path -> shape of a ControlNet."""
    unet, widths, hint = config.unet, config.hint_channels, "controlnet_cond_embedding"
    shapes = encoder_half(unet) | conv(f"{hint}/conv_in", config.condition_channels, widths[0])
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        shapes |= conv(f"{hint}/blocks_{2 * i}", inputs, inputs)
        shapes |= conv(f"{hint}/blocks_{2 * i + 1}", inputs, outputs)
    shapes |= conv(f"{hint}/conv_out", widths[-1], unet.levels[0].channels)
    for i, width in enumerate(unet.skip_channels):
        shapes |= conv(f"controlnet_down_blocks_{i}", width, width, size=1)
    last = unet.levels[-1].channels
    return shapes | conv("controlnet_mid_block", last, last, size=1)


def photomaker_parameters(config: VisionConfig) -> Shapes:
    """Path -> shape of a PhotoMaker with such a tower."""
    shapes = {f"vision/{path}": shape for path, shape in vision_parameters(config).items()}
    fuse, width = "fuse_module", config.projection_dim
    for name, inputs in (("mlp1", 2 * width), ("mlp2", width)):
        shapes |= norm(f"{fuse}/{name}/layernorm", inputs)
        shapes |= dense(f"{fuse}/{name}/fc1", inputs, width)
        shapes |= dense(f"{fuse}/{name}/fc2", width, width)
    return shapes | norm(f"{fuse}/layer_norm", width)
