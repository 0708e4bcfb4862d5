"""What a single file holds, from the names and shapes of its tensors.

The original code's configs say more than shapes can tell, but never varied it, so that it is
constant here: 32 groups in every norm; 8 heads in SD 1's U-Net, and 64 channels per head in all
others and in the text encoders.
"""

import re
from dataclasses import replace

from jaxsd.config import Level, ModelSpec, TextConfig, UNetConfig, VAEConfig
from jaxsd.convert.file_shapes import FileShapes
from jaxsd.convert.single_file_names import TEXT, UNET, VAE
from jaxsd.convert.stored_model import family_name, layout_of
from jaxsd.convert.tensors import FlatTree
from jaxsd.convert.unet_settings import added_conditions
from jaxsd.families import (
    CLIP_L,
    FAMILIES,
    OPENCLIP_BIGG,
    OPENCLIP_H,
    SD1,
    SD2,
    SDXL,
    SDXL_REFINER,
    VAE_SD,
    VAE_XL,
)
from jaxsd.types import Prediction

_HEAD_WIDTH = 64
_SD1_HEADS = 8
_INPAINTING_CHANNELS = 9
_LIKE = {"v1": SD1, "v2": SD2, "xl": SDXL, "refiner": SDXL_REFINER}
"""Whose noise schedule and size a model has that is of no family itself, by its naming."""
_OTHERS = {5: "a depth-to-image model", 7: "an upscaler", 8: "an InstructPix2Pix model"}
"""What other numbers of input channels than 4 and 9 mean."""
_MARKERS = {"edm_mean": "Playground 2.5", "edm_vpred.sigma_max": "CosXL"}
"""Tensors that say that a model's noise is not Stable Diffusion's."""


def spec_of(tensors: FlatTree, facts: dict[str, str], prediction: Prediction | None) -> ModelSpec:
    """The spec of a single file's model.

    `facts` is the file's metadata; `prediction`, where given, is taken as true.

    Raises:
      ValueError: if it is no Stable Diffusion that networks here can be, or SD 2 and nobody says
        what it predicts.
    """
    for marker, name in _MARKERS.items():
        if marker in tensors:
            raise ValueError(f"it is {name}, whose noise schedule is not supported")
    texts = _texts(tensors)
    unet, linear = _unet(tensors, texts[-1].projection_dim)
    vae = _vae(tensors, VAE_XL if unet.added else VAE_SD)
    layout = layout_of(unet, texts, linear=linear)
    prediction = prediction or _prediction(tensors, facts, unet, layout.single_file)
    family = family_name(unet, prediction)
    alike = FAMILIES.get(family, _LIKE[layout.single_file])
    return replace(
        alike,
        family=family,
        unet=unet,
        vae=vae,
        text=texts,
        schedule=replace(alike.schedule, zero_terminal_snr="ztsnr" in tensors),
        prediction=prediction,
        layout=layout,
    )


def _prediction(
    tensors: FlatTree, facts: dict[str, str], unet: UNetConfig, naming: str
) -> Prediction:
    stated = facts.get("modelspec.prediction_type")
    if "v_pred" in tensors or stated == "v":
        return "v"
    if naming == "v2" and unet.in_channels != _INPAINTING_CHANNELS and stated != "epsilon":
        raise ValueError(
            "SD 2 came in two kinds that look alike, and the file does not say which it is; add "
            "--prediction epsilon (512 pixel models) or --prediction v (768 pixel models)"
        )
    return "epsilon"


def _unet(tensors: FlatTree, pooled_dim: int | None) -> tuple[UNetConfig, bool]:
    """The U-Net, and whether its transformers begin and end with dense layers."""
    shapes = FileShapes(tensors, UNET)
    inputs = shapes.size("input_blocks.0.0.weight", 1)
    if inputs in _OTHERS:
        raise ValueError(f"it is {_OTHERS[inputs]} ({inputs} channels in), which is not supported")
    key = shapes.ending(".attn2.to_k.weight")
    if key is None:
        raise ValueError("its U-Net has no cross-attention, which every Stable Diffusion has")
    linear = shapes.rank(f"{key.split('.transformer_blocks.')[0]}.proj_in.weight") == 2
    added = guidance_dim = None
    if "label_emb.0.0.weight" in shapes:
        features = shapes.size("label_emb.0.0.weight", 1)
        added = added_conditions(
            features=features, pooled_dim=pooled_dim or 0, width=256, where="its label_emb"
        )
    if "time_embedding.cond_proj.weight" in shapes:
        guidance_dim = shapes.size("time_embedding.cond_proj.weight", 1)
    config = UNetConfig(
        levels=_levels(shapes, linear),
        context_dim=shapes.size(key, 1),
        mid_depth=_depth(shapes, "middle_block.1"),
        in_channels=inputs,
        out_channels=shapes.size("out.2.weight", 0),
        added=added,
        guidance_dim=guidance_dim,
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
        heads = channels // _HEAD_WIDTH if linear else _SD1_HEADS
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


def _vae(tensors: FlatTree, alike: VAEConfig) -> VAEConfig:
    """The autoencoder; its scaling factor is that of the family, `alike`."""
    shapes = FileShapes(tensors, VAE)
    levels = shapes.count(r"encoder\.down\.(\d+)\.")
    return replace(
        alike,
        channels=tuple(
            shapes.size(f"encoder.down.{i}.block.0.conv1.weight", 0) for i in range(levels)
        ),
        resnets=shapes.count(r"encoder\.down\.0\.block\.(\d+)\."),
        latent_channels=shapes.size("decoder.conv_in.weight", 1),
        image_channels=shapes.size("encoder.conv_in.weight", 1),
    )


def _texts(tensors: FlatTree) -> tuple[TextConfig, ...]:
    """The text encoders, by where they lie: that is what tells the families apart."""
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
        layers=shapes.count(r"encoder\.layers\.(\d+)\."),
        heads=width // _HEAD_WIDTH,
        mlp_width=shapes.size("encoder.layers.0.mlp.fc1.weight", 0),
        vocab_size=shapes.size("embeddings.token_embedding.weight", 0),
        max_length=shapes.size("embeddings.position_embedding.weight", 0),
    )


def _openclip(tensors: FlatTree, prefix: str, alike: TextConfig) -> TextConfig:
    """OpenCLIP's tower. SD 2 was trained on its last layer but one: whether a file holds 24 layers
    or the 23 that are used, the model has 23.
    """
    shapes = FileShapes(tensors, prefix)
    width = shapes.size("token_embedding.weight", 1)
    layers = shapes.count(r"transformer\.resblocks\.(\d+)\.")
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
        heads=width // _HEAD_WIDTH,
        mlp_width=shapes.size("transformer.resblocks.0.mlp.c_fc.weight", 0),
        vocab_size=shapes.size("token_embedding.weight", 0),
        max_length=shapes.size("positional_embedding", 0),
        projection_dim=projection_dim,
    )
