"""Which parameters a model has: a table path -> shape, from its numbers alone.

With it the converter knows what must be filled, without building a network. `layer_shapes.py` says
how shapes are meant.
"""

from jaxsd.config import (
    Level,
    ModelSpec,
    TextConfig,
    TinyVAEConfig,
    UNetConfig,
    VAEConfig,
    VisionConfig,
)
from jaxsd.convert.layer_shapes import Shapes, conv, dense, norm, resnet, transformer


def _level_transformer(path: str, level: Level, context_dim: int) -> Shapes:
    first = 0 if level.self_attends else context_dim
    return transformer(path, level.channels, level.attention_depth, context_dim, first)


def _embeddings(config: UNetConfig) -> Shapes:
    width, time_dim = config.levels[0].channels, config.time_dim
    shapes = dense("time_embedding/linear_1", width, time_dim)
    shapes |= dense("time_embedding/linear_2", time_dim, time_dim)
    if config.guidance_dim is not None:
        shapes["time_embedding/cond_proj/kernel"] = (config.guidance_dim, width)
    if config.noise_levels is not None:
        shapes["class_embedding/embedding"] = (config.noise_levels, time_dim)
    if config.label_dim is not None:
        shapes |= dense("class_embedding/linear_1", config.label_dim, time_dim)
        shapes |= dense("class_embedding/linear_2", time_dim, time_dim)
    if config.added is not None:
        shapes |= dense("add_embedding/linear_1", config.added.features, time_dim)
        shapes |= dense("add_embedding/linear_2", time_dim, time_dim)
    return shapes


def _down(config: UNetConfig) -> Shapes:
    shapes: Shapes = {}
    inputs = config.levels[0].channels
    for i, level in enumerate(config.levels):
        block, width = f"down_blocks_{i}", level.channels
        for j in range(level.resnets):
            shapes |= resnet(f"{block}/resnets_{j}", inputs, width, config.time_dim)
            inputs = width
            if level.attention_depth:
                path = f"{block}/attentions_{j}"
                shapes |= _level_transformer(path, level, config.context_dim)
        if i < len(config.levels) - 1:
            shapes |= conv(f"{block}/downsamplers_0/conv", width, width)
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
            shapes |= resnet(f"{block}/resnets_{j}", inputs + skip, width, config.time_dim)
            inputs = width
            if level.attention_depth:
                path = f"{block}/attentions_{j}"
                shapes |= _level_transformer(path, level, config.context_dim)
        if i < len(levels) - 1:
            shapes |= conv(f"{block}/upsamplers_0/conv", width, width)
    return shapes


def encoder_half(config: UNetConfig) -> Shapes:
    """The half of a U-Net that a ControlNet has too."""
    first, last = config.levels[0].channels, config.levels[-1].channels
    shapes = conv("conv_in", config.in_channels, first) | _embeddings(config) | _down(config)
    shapes |= resnet("mid_block/resnets_0", last, last, config.time_dim)
    if config.mid_depth:
        path = "mid_block/attentions_0"
        shapes |= transformer(path, last, config.mid_depth, config.context_dim)
    return shapes | resnet("mid_block/resnets_1", last, last, config.time_dim)


def unet_parameters(config: UNetConfig) -> Shapes:
    """Path -> shape of a U-Net."""
    first = config.levels[0].channels
    shapes = encoder_half(config) | _up(config) | norm("conv_norm_out", first)
    return shapes | conv("conv_out", first, config.out_channels)


def _vae_mid(path: str, width: int) -> Shapes:
    attention = f"{path}/attentions_0"
    shapes = resnet(f"{path}/resnets_0", width, width) | norm(f"{attention}/group_norm", width)
    for name in ("to_q", "to_k", "to_v", "to_out_0"):
        shapes |= dense(f"{attention}/{name}", width, width)
    return shapes | resnet(f"{path}/resnets_1", width, width)


def _vae_levels(path: str, sampler: str, widths: tuple[int, ...], resnets: int) -> Shapes:
    """The levels of an encoder (down) or a decoder (up), in the order they run."""
    shapes: Shapes = {}
    inputs = widths[0]
    for i, width in enumerate(widths):
        for j in range(resnets):
            shapes |= resnet(f"{path}_{i}/resnets_{j}", inputs, width)
            inputs = width
        if i < len(widths) - 1:
            shapes |= conv(f"{path}_{i}/{sampler}_0/conv", width, width)
    return shapes


def vae_parameters(config: VAEConfig) -> Shapes:
    """Path -> shape of an autoencoder."""
    first, last, latent = config.channels[0], config.channels[-1], config.latent_channels
    widths, resnets = config.channels, config.resnets
    return {
        **conv("encoder/conv_in", config.image_channels, first),
        **_vae_levels("encoder/down_blocks", "downsamplers", widths, resnets),
        **_vae_mid("encoder/mid_block", last),
        **norm("encoder/conv_norm_out", last),
        **conv("encoder/conv_out", last, 2 * latent),
        **conv("quant_conv", 2 * latent, 2 * latent, size=1),
        **conv("post_quant_conv", latent, latent, size=1),
        **conv("decoder/conv_in", latent, last),
        **_vae_mid("decoder/mid_block", last),
        **_vae_levels("decoder/up_blocks", "upsamplers", widths[::-1], resnets + 1),
        **norm("decoder/conv_norm_out", first),
        **conv("decoder/conv_out", first, config.image_channels),
    }


def tiny_vae_parameters(config: TinyVAEConfig) -> Shapes:
    """Path -> shape of a tiny autoencoder; the convolutions that change the size have no bias."""
    width, latent, images = config.channels, config.latent_channels, config.image_channels
    shapes, number = conv("encoder/layers_0", images, width), 0
    for i, blocks in enumerate(config.encoder_blocks):
        if i:
            shapes |= {f"encoder/layers_{number}/kernel": (3, 3, width, width)}
        shapes |= _tiny_blocks("encoder", number + 1, blocks, width)
        number += 1 + blocks
    shapes |= conv(f"encoder/layers_{number}", width, latent)

    shapes |= conv("decoder/layers_0", latent, width)
    number = 2
    for blocks in config.decoder_blocks[:-1]:
        shapes |= _tiny_blocks("decoder", number, blocks, width)
        number += blocks + 2
        shapes |= {f"decoder/layers_{number - 1}/kernel": (3, 3, width, width)}
    shapes |= _tiny_blocks("decoder", number, config.decoder_blocks[-1], width)
    return shapes | conv(f"decoder/layers_{number + config.decoder_blocks[-1]}", width, images)


def _tiny_blocks(half: str, first: int, count: int, width: int) -> Shapes:
    shapes: Shapes = {}
    for i in range(first, first + count):
        for j in (0, 2, 4):
            shapes |= conv(f"{half}/layers_{i}/conv_{j}", width, width)
    return shapes


def _clip_layers(config: TextConfig | VisionConfig) -> Shapes:
    shapes: Shapes = {}
    width = config.width
    for layer in (f"encoder/layers_{k}" for k in range(config.layers)):
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= dense(f"{layer}/self_attn/{name}", width, width)
        shapes |= norm(f"{layer}/layer_norm1", width)
        shapes |= dense(f"{layer}/mlp/fc1", width, config.mlp_width)
        shapes |= dense(f"{layer}/mlp/fc2", config.mlp_width, width)
        shapes |= norm(f"{layer}/layer_norm2", width)
    return shapes


def text_parameters(config: TextConfig) -> Shapes:
    """Path -> shape of a CLIP text encoder."""
    width = config.width
    shapes = {
        "embeddings/token_embedding/embedding": (config.vocab_size, width),
        "embeddings/position_embedding/embedding": (config.max_length, width),
        **_clip_layers(config),
        **norm("final_layer_norm", width),
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
        **norm("pre_layrnorm", width),
        **_clip_layers(config),
        **norm("post_layernorm", width),
        "visual_projection/kernel": (width, config.projection_dim),
    }


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
