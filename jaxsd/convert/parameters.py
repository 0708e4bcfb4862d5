"""Which parameters a model has: a table path -> shape, from its numbers alone.

Shapes are those of `jaxsd`'s trees: convolutions `[H, W, in, out]`, dense kernels `[in, out]`.
With it the converter knows what must be filled, without building a network.
"""

from collections.abc import Iterable
from itertools import pairwise

from jaxsd.config import (
    ControlNetConfig,
    Level,
    ModelSpec,
    MotionPlace,
    TextConfig,
    TinyVAEConfig,
    UNetConfig,
    VAEConfig,
    VisionConfig,
)

Shapes = dict[str, tuple[int, ...]]


def _conv(path: str, inputs: int, outputs: int, size: int = 3) -> Shapes:
    return {f"{path}/kernel": (size, size, inputs, outputs), f"{path}/bias": (outputs,)}


def _dense(path: str, inputs: int, outputs: int) -> Shapes:
    return {f"{path}/kernel": (inputs, outputs), f"{path}/bias": (outputs,)}


def _norm(path: str, width: int) -> Shapes:
    return {f"{path}/scale": (width,), f"{path}/bias": (width,)}


def _resnet(path: str, inputs: int, outputs: int, time_dim: int | None = None) -> Shapes:
    shapes = {
        **_norm(f"{path}/norm1", inputs),
        **_conv(f"{path}/conv1", inputs, outputs),
        **_norm(f"{path}/norm2", outputs),
        **_conv(f"{path}/conv2", outputs, outputs),
    }
    if time_dim is not None:
        shapes |= _dense(f"{path}/time_emb_proj", time_dim, outputs)
    if inputs != outputs:
        shapes |= _conv(f"{path}/conv_shortcut", inputs, outputs, size=1)
    return shapes


def _attention(path: str, width: int, context_dim: int) -> Shapes:
    return {
        f"{path}/to_q/kernel": (width, width),
        f"{path}/to_k/kernel": (context_dim, width),
        f"{path}/to_v/kernel": (context_dim, width),
        **_dense(f"{path}/to_out_0", width, width),
    }


def _feed_forward(path: str, width: int) -> Shapes:
    return {
        **_dense(f"{path}/net_0/proj", width, 8 * width),
        **_dense(f"{path}/net_2", 4 * width, width),
    }


def _transformer(path: str, width: int, depth: int, context_dim: int, first: int = 0) -> Shapes:
    """Its blocks' first attention is to something of width `first`; 0 for the pixels."""
    shapes = _norm(f"{path}/norm", width) | _dense(f"{path}/proj_in", width, width)
    for block in (f"{path}/transformer_blocks_{k}" for k in range(depth)):
        shapes |= {
            **_norm(f"{block}/norm1", width),
            **_attention(f"{block}/attn1", width, first or width),
            **_norm(f"{block}/norm2", width),
            **_attention(f"{block}/attn2", width, context_dim),
            **_norm(f"{block}/norm3", width),
            **_feed_forward(f"{block}/ff", width),
        }
    return shapes | _dense(f"{path}/proj_out", width, width)


def _level_transformer(path: str, level: Level, context_dim: int) -> Shapes:
    first = 0 if level.self_attends else context_dim
    return _transformer(path, level.channels, level.attention_depth, context_dim, first)


def _embeddings(config: UNetConfig) -> Shapes:
    width, time_dim = config.levels[0].channels, config.time_dim
    shapes = _dense("time_embedding/linear_1", width, time_dim)
    shapes |= _dense("time_embedding/linear_2", time_dim, time_dim)
    if config.guidance_dim is not None:
        shapes["time_embedding/cond_proj/kernel"] = (config.guidance_dim, width)
    if config.noise_levels is not None:
        shapes["class_embedding/embedding"] = (config.noise_levels, time_dim)
    if config.label_dim is not None:
        shapes |= _dense("class_embedding/linear_1", config.label_dim, time_dim)
        shapes |= _dense("class_embedding/linear_2", time_dim, time_dim)
    if config.added is not None:
        shapes |= _dense("add_embedding/linear_1", config.added.features, time_dim)
        shapes |= _dense("add_embedding/linear_2", time_dim, time_dim)
    return shapes


def _down(config: UNetConfig) -> Shapes:
    shapes: Shapes = {}
    inputs = config.levels[0].channels
    for i, level in enumerate(config.levels):
        block, width = f"down_blocks_{i}", level.channels
        for j in range(level.resnets):
            shapes |= _resnet(f"{block}/resnets_{j}", inputs, width, config.time_dim)
            inputs = width
            if level.attention_depth:
                path = f"{block}/attentions_{j}"
                shapes |= _level_transformer(path, level, config.context_dim)
        if i < len(config.levels) - 1:
            shapes |= _conv(f"{block}/downsamplers_0/conv", width, width)
    return shapes


def _up(config: UNetConfig) -> Shapes:
    shapes: Shapes = {}
    levels = config.levels[::-1]
    inputs = levels[0].channels
    for i, level in enumerate(levels):
        block, width = f"up_blocks_{i}", level.channels
        below = levels[min(i + 1, len(levels) - 1)].channels
        for j in range(level.resnets + 1):
            skip = below if j == level.resnets else width
            shapes |= _resnet(f"{block}/resnets_{j}", inputs + skip, width, config.time_dim)
            inputs = width
            if level.attention_depth:
                path = f"{block}/attentions_{j}"
                shapes |= _level_transformer(path, level, config.context_dim)
        if i < len(levels) - 1:
            shapes |= _conv(f"{block}/upsamplers_0/conv", width, width)
    return shapes


def _encoder(config: UNetConfig) -> Shapes:
    """The half of a U-Net that a ControlNet has too."""
    first, last = config.levels[0].channels, config.levels[-1].channels
    shapes = _conv("conv_in", config.in_channels, first) | _embeddings(config) | _down(config)
    shapes |= _resnet("mid_block/resnets_0", last, last, config.time_dim)
    if config.mid_depth:
        path = "mid_block/attentions_0"
        shapes |= _transformer(path, last, config.mid_depth, config.context_dim)
    return shapes | _resnet("mid_block/resnets_1", last, last, config.time_dim)


def unet_parameters(config: UNetConfig) -> Shapes:
    """Path -> shape of a U-Net."""
    first = config.levels[0].channels
    shapes = _encoder(config) | _up(config) | _norm("conv_norm_out", first)
    return shapes | _conv("conv_out", first, config.out_channels)


def motion_parameters(places: Iterable[MotionPlace], depth: int) -> Shapes:
    """Path -> shape of motion modules at these places, of so many transformer blocks each.

    They are a U-Net's own transformers, but for their second attention, which is to frames too.
    """
    shapes: Shapes = {}
    for place in places:
        shapes |= _transformer(place.name, place.channels, depth, place.channels)
    return shapes


def position_net_parameters(text_width: int, width: int) -> Shapes:
    """Path -> shape of the network that makes GLIGEN's tokens [width] of texts [text_width]."""
    position, hidden = 64, 512  # sines and cosines of 8 frequencies for 4 sides
    return {
        "null_positive_feature": (text_width,),
        "null_position_feature": (position,),
        **_dense("linears_0", text_width + position, hidden),
        **_dense("linears_2", hidden, hidden),
        **_dense("linears_4", hidden, width),
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
            **_dense(f"{layer}/linear", config.context_dim, width),
            **_norm(f"{layer}/norm1", width),
            **_attention(f"{layer}/attn", width, width),
            **_norm(f"{layer}/norm2", width),
            **_feed_forward(f"{layer}/ff", width),
        }
    return shapes


def controlnet_parameters(config: ControlNetConfig) -> Shapes:
    """Path -> shape of a ControlNet."""
    unet, widths, hint = config.unet, config.hint_channels, "controlnet_cond_embedding"
    shapes = _encoder(unet) | _conv(f"{hint}/conv_in", config.condition_channels, widths[0])
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        shapes |= _conv(f"{hint}/blocks_{2 * i}", inputs, inputs)
        shapes |= _conv(f"{hint}/blocks_{2 * i + 1}", inputs, outputs)
    shapes |= _conv(f"{hint}/conv_out", widths[-1], unet.levels[0].channels)
    for i, width in enumerate(unet.skip_channels):
        shapes |= _conv(f"controlnet_down_blocks_{i}", width, width, size=1)
    last = unet.levels[-1].channels
    return shapes | _conv("controlnet_mid_block", last, last, size=1)


def _vae_mid(path: str, width: int) -> Shapes:
    attention = f"{path}/attentions_0"
    shapes = _resnet(f"{path}/resnets_0", width, width) | _norm(f"{attention}/group_norm", width)
    for name in ("to_q", "to_k", "to_v", "to_out_0"):
        shapes |= _dense(f"{attention}/{name}", width, width)
    return shapes | _resnet(f"{path}/resnets_1", width, width)


def _vae_levels(path: str, sampler: str, widths: tuple[int, ...], resnets: int) -> Shapes:
    """The levels of an encoder (down) or a decoder (up), in the order they run."""
    shapes: Shapes = {}
    inputs = widths[0]
    for i, width in enumerate(widths):
        for j in range(resnets):
            shapes |= _resnet(f"{path}_{i}/resnets_{j}", inputs, width)
            inputs = width
        if i < len(widths) - 1:
            shapes |= _conv(f"{path}_{i}/{sampler}_0/conv", width, width)
    return shapes


def vae_parameters(config: VAEConfig) -> Shapes:
    """Path -> shape of an autoencoder."""
    first, last, latent = config.channels[0], config.channels[-1], config.latent_channels
    widths, resnets = config.channels, config.resnets
    return {
        **_conv("encoder/conv_in", config.image_channels, first),
        **_vae_levels("encoder/down_blocks", "downsamplers", widths, resnets),
        **_vae_mid("encoder/mid_block", last),
        **_norm("encoder/conv_norm_out", last),
        **_conv("encoder/conv_out", last, 2 * latent),
        **_conv("quant_conv", 2 * latent, 2 * latent, size=1),
        **_conv("post_quant_conv", latent, latent, size=1),
        **_conv("decoder/conv_in", latent, last),
        **_vae_mid("decoder/mid_block", last),
        **_vae_levels("decoder/up_blocks", "upsamplers", widths[::-1], resnets + 1),
        **_norm("decoder/conv_norm_out", first),
        **_conv("decoder/conv_out", first, config.image_channels),
    }


def tiny_vae_parameters(config: TinyVAEConfig) -> Shapes:
    """Path -> shape of a tiny autoencoder; the convolutions that change the size have no bias."""
    width, latent, images = config.channels, config.latent_channels, config.image_channels
    shapes, number = _conv("encoder/layers_0", images, width), 0
    for i, blocks in enumerate(config.encoder_blocks):
        if i:
            shapes |= {f"encoder/layers_{number}/kernel": (3, 3, width, width)}
        shapes |= _tiny_blocks("encoder", number + 1, blocks, width)
        number += 1 + blocks
    shapes |= _conv(f"encoder/layers_{number}", width, latent)

    shapes |= _conv("decoder/layers_0", latent, width)
    number = 2
    for blocks in config.decoder_blocks[:-1]:
        shapes |= _tiny_blocks("decoder", number, blocks, width)
        number += blocks + 2
        shapes |= {f"decoder/layers_{number - 1}/kernel": (3, 3, width, width)}
    shapes |= _tiny_blocks("decoder", number, config.decoder_blocks[-1], width)
    return shapes | _conv(f"decoder/layers_{number + config.decoder_blocks[-1]}", width, images)


def _tiny_blocks(half: str, first: int, count: int, width: int) -> Shapes:
    shapes: Shapes = {}
    for i in range(first, first + count):
        for j in (0, 2, 4):
            shapes |= _conv(f"{half}/layers_{i}/conv_{j}", width, width)
    return shapes


def _clip_layers(config: TextConfig | VisionConfig) -> Shapes:
    shapes: Shapes = {}
    width = config.width
    for layer in (f"encoder/layers_{k}" for k in range(config.layers)):
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _dense(f"{layer}/self_attn/{name}", width, width)
        shapes |= _norm(f"{layer}/layer_norm1", width)
        shapes |= _dense(f"{layer}/mlp/fc1", width, config.mlp_width)
        shapes |= _dense(f"{layer}/mlp/fc2", config.mlp_width, width)
        shapes |= _norm(f"{layer}/layer_norm2", width)
    return shapes


def text_parameters(config: TextConfig) -> Shapes:
    """Path -> shape of a CLIP text encoder."""
    width = config.width
    shapes = {
        "embeddings/token_embedding/embedding": (config.vocab_size, width),
        "embeddings/position_embedding/embedding": (config.max_length, width),
        **_clip_layers(config),
        **_norm("final_layer_norm", width),
    }
    if config.projection_dim is not None:
        shapes["text_projection/kernel"] = (width, config.projection_dim)
    return shapes


def vision_parameters(config: VisionConfig) -> Shapes:
    """Path -> shape of a CLIP's vision tower."""
    width, side = config.width, config.patch_size
    return {
        "embeddings/class_embedding": (width,),
        "embeddings/patch_embedding/kernel": (side, side, 3, width),
        "embeddings/position_embedding/embedding": (config.patches + 1, width),
        **_norm("pre_layrnorm", width),
        **_clip_layers(config),
        **_norm("post_layernorm", width),
        "visual_projection/kernel": (width, config.projection_dim),
    }


def photomaker_parameters(config: VisionConfig) -> Shapes:
    """Path -> shape of a PhotoMaker with such a tower."""
    shapes = {f"vision/{path}": shape for path, shape in vision_parameters(config).items()}
    fuse, width = "fuse_module", config.projection_dim
    for name, inputs in (("mlp1", 2 * width), ("mlp2", width)):
        shapes |= _norm(f"{fuse}/{name}/layernorm", inputs)
        shapes |= _dense(f"{fuse}/{name}/fc1", inputs, width)
        shapes |= _dense(f"{fuse}/{name}/fc2", width, width)
    return shapes | _norm(f"{fuse}/layer_norm", width)


def normalizer_parameters(width: int) -> Shapes:
    """Path -> shape of the statistics of a CLIP's embeddings."""
    return dict.fromkeys(("mean", "std"), (1, width))


def parameters(spec: ModelSpec) -> dict[str, Shapes]:
    """Part (`unet`, `vae`, `vision`, `normalizer`, `text_0`, `text_1`) -> path -> shape, of a whole
    model.
    """
    parts = {"unet": unet_parameters(spec.unet)}
    if spec.vae is not None:
        parts["vae"] = vae_parameters(spec.vae)
    if spec.sight is not None:
        parts["vision"] = vision_parameters(spec.sight.vision)
        if spec.sight.noise is not None:
            parts["normalizer"] = normalizer_parameters(spec.sight.vision.projection_dim)
    return parts | {f"text_{k}": text_parameters(text) for k, text in enumerate(spec.text)}
