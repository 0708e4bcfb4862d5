"""Names of the original code's files: CompVis and Stability's U-Net and VAE, OpenCLIP's text.

They are generated from a model's numbers, module by module, as pairs with diffusers' names. Inside
a resnet, an attention or a text layer a few more words differ.
"""

from jaxsd.config import ModelSpec, TextConfig, VAEConfig, VisionConfig
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.names import torch_name, torch_slots
from jaxsd.convert.original.modules import RESNET, Modules, renamed, renamed_slots, unet_modules
from jaxsd.convert.slots import Slot, leaf_kind

UNET = "model.diffusion_model."
VAE = "first_stage_model."
VISION = "embedder.model.visual."
"""Where unCLIP's vision tower is, in OpenCLIP's names."""
NORMALIZER = "noise_augmentor.data_"
TEXT: dict[str, tuple[str, ...]] = {
    "v1": ("cond_stage_model.transformer.text_model.",),
    "v2": ("cond_stage_model.model.",),
    "xl": ("conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."),
    "refiner": ("conditioner.embedders.0.model.",),
}
"""Where the text encoders are in each naming. Those with `model.` at the end are OpenCLIP's."""

_VAE = {
    "conv_shortcut": "nin_shortcut",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
_OPENCLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_BARE = {
    "embeddings/position_embedding/embedding": "positional_embedding",
    "embeddings/class_embedding": "class_embedding",
    "text_projection/kernel": "text_projection",
    "visual_projection/kernel": "proj",
}
"""Path -> OpenCLIP's name of what lies in no layer. Projections are x @ matrix."""
_FUSED = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


def _vae_modules(config: VAEConfig) -> Modules:
    modules = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for half in ("encoder", "decoder"):
        modules |= {
            f"{half}.conv_in": f"{half}.conv_in",
            f"{half}.conv_out": f"{half}.conv_out",
            f"{half}.conv_norm_out": f"{half}.norm_out",
            f"{half}.mid_block.attentions.0": f"{half}.mid.attn_1",
            f"{half}.mid_block.resnets.0": f"{half}.mid.block_1",
            f"{half}.mid_block.resnets.1": f"{half}.mid.block_2",
        }
    last = len(config.channels) - 1
    for i in range(last + 1):
        down, up = f"encoder.down.{i}", f"decoder.up.{last - i}"  # the way up is numbered backwards
        modules[f"encoder.down_blocks.{i}.downsamplers.0.conv"] = f"{down}.downsample.conv"
        modules[f"decoder.up_blocks.{i}.upsamplers.0.conv"] = f"{up}.upsample.conv"
        for j in range(config.resnets + 1):
            modules[f"encoder.down_blocks.{i}.resnets.{j}"] = f"{down}.block.{j}"
            modules[f"decoder.up_blocks.{i}.resnets.{j}"] = f"{up}.block.{j}"
    return modules


def _openclip_modules(config: TextConfig | VisionConfig) -> Modules:
    layers = {f"encoder.layers.{k}": f"transformer.resblocks.{k}" for k in range(config.layers)}
    return layers | {
        "embeddings.token_embedding": "token_embedding",
        "final_layer_norm": "ln_final",
        "embeddings.patch_embedding": "conv1",
        "pre_layrnorm": "ln_pre",
        "post_layernorm": "ln_post",
    }


def _vae_slots(config: VAEConfig, shapes: Shapes) -> list[Slot]:
    """In the file the VAE's attention is 1x1 convolutions; in our tree only it has dense layers."""
    slots = [
        slot._replace(kind="pointwise") if slot.kind == "dense" else slot
        for slot in torch_slots(shapes)
    ]
    return renamed_slots(slots, _vae_modules(config), _VAE, VAE)


def _openclip_slot(path: str, shapes: Shapes, modules: Modules, prefix: str) -> Slot:
    if path in _BARE:
        return Slot(path, f"{prefix}{_BARE[path]}", "same")
    name, kind = torch_name(path), leaf_kind(path, shapes[path])
    module, leaf = name.rsplit(".", 1)
    for third, projection in enumerate(_FUSED):
        if module.endswith(projection):
            layer = modules[module.removesuffix(f".{projection}")]
            return Slot(path, f"{prefix}{layer}.attn.in_proj_{leaf}", kind, third)
    return Slot(path, prefix + renamed(name, modules, _OPENCLIP), kind)


def _text_slots(config: TextConfig, shapes: Shapes, prefix: str) -> list[Slot]:
    if prefix.endswith(".text_model."):
        return [slot._replace(name=prefix + slot.name) for slot in torch_slots(shapes)]
    return openclip_slots(config, shapes, prefix)


def openclip_slots(config: TextConfig | VisionConfig, shapes: Shapes, prefix: str) -> list[Slot]:
    """Slots of a transformer of OpenCLIP, whose names begin with `prefix`."""
    modules = _openclip_modules(config)
    return [_openclip_slot(path, shapes, modules, prefix) for path in shapes]


def single_file_slots(part: str, spec: ModelSpec, shapes: Shapes) -> list[Slot]:
    """Slots of one part of `parameters` in a single file."""
    if part == "unet":
        slots = torch_slots(shapes, linear=spec.layout.linear_projection)
        return renamed_slots(slots, unet_modules(spec.unet), RESNET, UNET)
    if part == "vae":
        return _vae_slots(spec.vae, shapes)
    if part == "vision":
        return openclip_slots(spec.sight.vision, shapes, VISION)
    if part == "normalizer":
        return [Slot(path, NORMALIZER + path, "same") for path in shapes]
    number = int(part.removeprefix("text_"))
    prefix = TEXT[spec.layout.single_file][number]
    return _text_slots(spec.text[number], shapes, prefix)
