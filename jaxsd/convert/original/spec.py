"""What a single file holds, from the names and shapes of its tensors.

Shapes do not tell all numbers. The others never varied in the original code's configs, so they are
constant here: 32 groups in every norm, and 64 channels per head in the text encoders (those of the
U-Net are in `convert/encoder.py`).
"""

from dataclasses import replace
from typing import Any

from jaxsd.config import ModelSpec, ScheduleConfig, TextConfig, UNetConfig, VAEConfig
from jaxsd.convert.encoder import (
    HEAD_WIDTH,
    EncoderNames,
    check_groups,
    check_heads,
    encoder_config,
)
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.original.modules import encoder_names
from jaxsd.convert.original.names import TEXT, UNET, VAE
from jaxsd.convert.original.sight import sight_of
from jaxsd.convert.original.stated import (
    stated_edm,
    stated_prediction,
    stated_statistics,
    stated_zero_snr,
)
from jaxsd.convert.stored_model import family_name, layout_of, usual_guidance
from jaxsd.families import (
    CLIP_L,
    FAMILIES,
    OPENCLIP_BIGG,
    OPENCLIP_H,
    SD1,
    SD2,
    SD2_V,
    SDXL,
    SDXL_REFINER,
    VAE_SD,
    VAE_XL,
    X4,
)
from jaxsd.types import Prediction

_LIKE = {"v1": SD1, "v2": SD2, "xl": SDXL, "refiner": SDXL_REFINER}
"""Naming -> family whose noise schedule and size a model of no family gets."""
_LABEL_LAYER = "label_emb.0.0"
"""The first layer of what is added to the time: of unCLIP's label, or of XL's conditions."""
_LABELS = "label_emb.weight"
"""A tensor of U-Nets that are told of the noise in a small picture."""


def spec_of(tensors: FlatTree, facts: dict[str, str], prediction: Prediction | None) -> ModelSpec:
    """The spec of a single file's model.

    `facts` is the file's metadata; `prediction`, where given, is taken as true.

    Raises:
      ValueError: if it is not a Stable Diffusion that networks here support, or it is SD 2 without
        a stated prediction.
    """
    edm = stated_edm(tensors)
    texts = _texts(tensors)
    sight = sight_of(tensors)
    unet, linear = unet_of(tensors, texts[-1].projection_dim, labelled=sight is not None)
    usual = X4.vae if unet.sees == "small" else VAE_XL if unet.added else VAE_SD
    vae = vae_of(tensors, usual, stated_statistics(tensors))
    layout = layout_of(unet, texts, linear=linear)
    prediction = prediction or prediction_of(tensors, facts, unet, layout.single_file)
    family = family_name(unet, prediction, edm)
    like = X4 if unet.sees == "small" else _LIKE[layout.single_file]
    alike = FAMILIES.get(family, like)
    return replace(
        alike,
        family=family,
        unet=unet,
        vae=vae,
        text=texts,
        schedule=schedule_of(tensors, facts, alike.schedule),
        prediction=prediction,
        layout=layout,
        guidance_scale=usual_guidance(unet, family),
        sight=sight,
    )


def prediction_of(
    tensors: FlatTree, facts: dict[str, str], unet: UNetConfig, naming: str
) -> Prediction:
    """What a file's U-Net predicts, as it states or its family has it.

    Raises:
      ValueError: SD 2 came in two kinds, and the file does not say which it is.
    """
    stated = stated_prediction(tensors, facts)
    if stated is not None:
        return stated
    if unet.sees == "small":
        return X4.prediction
    if unet.label_dim is not None:
        return SD2_V.prediction
    if naming == "v2" and unet.sees not in ("mask", "depth"):
        raise ValueError(
            "SD 2 came in two kinds that look alike, and the file does not say which it is; set "
            "prediction to epsilon (512 pixel models) or to v (768 pixel models)"
        )
    return "epsilon"


def schedule_of(tensors: FlatTree, facts: dict[str, str], usual: ScheduleConfig) -> ScheduleConfig:
    """The noise that a file states, or that of its family.

    Zero terminal SNR goes with a spacing that has the last timestep.
    """
    if edm := stated_edm(tensors):
        return ScheduleConfig(edm=edm)
    if not stated_zero_snr(tensors, facts):
        return usual
    return replace(usual, zero_terminal_snr=True, timestep_spacing="trailing")


def unet_of(
    tensors: FlatTree, pooled_dim: int | None, *, labelled: bool = False
) -> tuple[UNetConfig, bool]:
    """The U-Net, and whether its transformers begin and end with dense layers.

    `labelled` is whether it is unCLIP's, told of what is seen of a picture.
    """
    shapes = FileShapes(tensors, UNET)
    names = encoder_names(shapes)
    if labelled:
        names = names._replace(added=None)
    config, linear = encoder_config(shapes, names, pooled_dim)
    if _LABELS in shapes:
        config = _enlarging(config, shapes, names)
    if labelled:
        config = replace(config, label_dim=shapes.size(f"{_LABEL_LAYER}.weight", 1))
    check_groups(config)
    guidance_dim = None
    if "time_embedding.cond_proj.weight" in shapes:
        guidance_dim = shapes.size("time_embedding.cond_proj.weight", 1)
    if (linear or config.added) and config.sees != "small":
        check_heads(config)
    outputs = shapes.size("out.2.weight", 0)
    return replace(config, out_channels=outputs, guidance_dim=guidance_dim), linear


def _enlarging(config: UNetConfig, shapes: FileShapes, names: EncoderNames) -> UNetConfig:
    """The numbers of the x4 upscaler's U-Net, which has the same number of heads at every level."""
    levels = []
    for level, resnets in zip(config.levels, names.levels, strict=True):
        key = f"{resnets[0][1]}.transformer_blocks.0.attn1.to_k.weight"
        alone = key in shapes and shapes.size(key, 1) != level.channels
        levels.append(replace(level, heads=X4.unet.levels[0].heads, self_attends=not alone))
    return replace(config, levels=tuple(levels), noise_levels=shapes.size(_LABELS, 0))


def vae_of(tensors: FlatTree, alike: VAEConfig, statistics: dict[str, Any]) -> VAEConfig:
    """The autoencoder; its scaling factor is that of the family, `alike`, or among `statistics`."""
    if not any(name.startswith(VAE) for name in tensors):
        raise ValueError(f"it has no autoencoder ({VAE}); only whole models are read")
    shapes = FileShapes(tensors, VAE)
    levels = shapes.count("encoder.down.")
    return replace(
        alike,
        channels=tuple(
            shapes.size(f"encoder.down.{i}.block.0.conv1.weight", 0) for i in range(levels)
        ),
        resnets=shapes.count("encoder.down.0.block."),
        latent_channels=shapes.size("decoder.conv_in.weight", 1),
        image_channels=shapes.size("encoder.conv_in.weight", 1),
        **statistics,
    )


def _texts(tensors: FlatTree) -> tuple[TextConfig, ...]:
    """The text encoders, found by their names' prefixes, which tell the families apart."""
    naming = next(
        (
            naming
            for naming, prefixes in TEXT.items()
            if all(any(name.startswith(prefix) for name in tensors) for prefix in prefixes)
        ),
        None,
    )
    match naming:
        case "v1":
            return (_clip(tensors, TEXT["v1"][0], CLIP_L),)
        case "v2":
            return (_openclip(tensors, TEXT["v2"][0], OPENCLIP_H),)
        case "xl":
            clip = replace(CLIP_L, hidden_layer=-2)
            return (
                _clip(tensors, TEXT["xl"][0], clip),
                _openclip(tensors, TEXT["xl"][1], OPENCLIP_BIGG),
            )
        case "refiner":
            return (_openclip(tensors, TEXT["refiner"][0], OPENCLIP_BIGG),)
    raise ValueError("it has no text encoder of SD 1, 2 or XL; only whole models are read")


def _clip(tensors: FlatTree, prefix: str, alike: TextConfig) -> TextConfig:
    shapes = FileShapes(tensors, prefix)
    width = shapes.size("embeddings.token_embedding.weight", 1)
    return replace(
        alike,
        width=width,
        layers=shapes.count("encoder.layers."),
        heads=_heads(width),
        mlp_width=shapes.size("encoder.layers.0.mlp.fc1.weight", 0),
        vocab_size=shapes.size("embeddings.token_embedding.weight", 0),
        max_length=shapes.size("embeddings.position_embedding.weight", 0),
    )


def _openclip(tensors: FlatTree, prefix: str, alike: TextConfig) -> TextConfig:
    """OpenCLIP's text encoder. SD 2 was trained on its second to last layer: the model has the 23
    layers that are used, even if a file holds 24.
    """
    shapes = FileShapes(tensors, prefix)
    width = shapes.size("token_embedding.weight", 1)
    layers = shapes.count("transformer.resblocks.")
    projection_dim = None
    if alike.projection_dim is not None:
        projection_dim = shapes.size("text_projection", 1)
    elif layers not in (alike.layers, alike.layers + 1):
        raise ValueError(
            f"its text encoder has {layers} layers where SD 2's has {alike.layers + 1}, of which "
            f"{alike.layers} are used"
        )
    else:
        layers = alike.layers
    return replace(
        alike,
        width=width,
        layers=layers,
        heads=_heads(width),
        mlp_width=shapes.size("transformer.resblocks.0.mlp.c_fc.weight", 0),
        vocab_size=shapes.size("token_embedding.weight", 0),
        max_length=shapes.size("positional_embedding", 0),
        projection_dim=projection_dim,
    )


def _heads(width: int) -> int:
    """The heads of a text encoder.

    Raises:
      ValueError: it has none of the width that all heads of the original code have.
    """
    if not width or width % HEAD_WIDTH:
        raise ValueError(
            f"its text encoder is {width} wide, which is no multiple of {HEAD_WIDTH}, the width of "
            "a head; take a folder of diffusers, whose config.json says how many heads there are"
        )
    return width // HEAD_WIDTH
