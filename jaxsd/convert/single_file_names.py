"""Names of the original code's files: CompVis and Stability's U-Net and VAE, OpenCLIP's text.

Generated from a model's numbers as module by module pairs with diffusers' names; inside a resnet,
an attention or a text layer another few words differ.
"""

from jaxsd.config import ModelSpec, TextConfig, UNetConfig, VAEConfig
from jaxsd.convert.diffusers_names import TEXT_PREFIX, torch_name
from jaxsd.convert.parameters import Shapes
from jaxsd.convert.slots import Slot, leaf_kind, unet_kind

UNET = "model.diffusion_model."
VAE = "first_stage_model."
TEXT: dict[str, tuple[str, ...]] = {
    "v1": ("cond_stage_model.transformer.text_model.",),
    "v2": ("cond_stage_model.model.",),
    "xl": ("conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."),
    "refiner": ("conditioner.embedders.0.model.",),
}
"""Where the text encoders are in each naming. Those with `model.` at the end are OpenCLIP's."""

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
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
_FUSED = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")

Modules = dict[str, str]
"""diffusers' name of a module -> the original's."""


def _renamed(name: str, modules: Modules, inner: Modules) -> str:
    """The original's name of diffusers' `name`, whose module, or one above it, is in `modules`."""
    module, leaf = name.rsplit(".", 1)
    above, within = module, ""
    while above not in modules:
        above, _, last = above.rpartition(".")
        within = f"{last}.{within}" if within else last
    middle = f".{inner.get(within, within)}" if within else ""
    return f"{modules[above]}{middle}.{leaf}"


def _unet_modules(config: UNetConfig) -> Modules:
    modules = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        # LCM is younger than the original code; converters leave this name as it is.
        "time_embedding.cond_proj": "time_embedding.cond_proj",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2" if config.mid_depth else "middle_block.1",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    return modules | _input_blocks(config) | _output_blocks(config)


def _input_blocks(config: UNetConfig) -> Modules:
    """One block per resnet and per downsampling, numbered through; block 0 is `conv_in`."""
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
    """One block per resnet, numbered through; upsampling is the last thing in a level's last."""
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


def _openclip_modules(config: TextConfig) -> Modules:
    layers = {f"encoder.layers.{k}": f"transformer.resblocks.{k}" for k in range(config.layers)}
    return layers | {
        "embeddings.token_embedding": "token_embedding",
        "final_layer_norm": "ln_final",
    }


def _unet_slots(spec: ModelSpec, shapes: Shapes) -> list[Slot]:
    modules = _unet_modules(spec.unet)
    return [
        Slot(
            path,
            UNET + _renamed(torch_name(path), modules, _RESNET),
            unet_kind(path, shapes[path], linear=spec.layout.linear_projection),
        )
        for path in shapes
    ]


def _vae_slots(config: VAEConfig, shapes: Shapes) -> list[Slot]:
    """The VAE's attention is made of 1x1 convolutions, and is the only thing dense in ours."""
    modules = _vae_modules(config)
    kinds = {2: "pointwise", 4: "conv"}
    return [
        Slot(
            path,
            VAE + _renamed(torch_name(path), modules, _VAE),
            kinds.get(len(shape), "same"),
        )
        for path, shape in shapes.items()
    ]


def _openclip_slot(path: str, shapes: Shapes, modules: Modules, prefix: str) -> Slot:
    if path == "text_projection/kernel":
        return Slot(path, f"{prefix}text_projection", "same")  # a matrix, not a layer: x @ it
    if path == "embeddings/position_embedding/embedding":
        return Slot(path, f"{prefix}positional_embedding", "same")
    name, kind = torch_name(path), leaf_kind(path, shapes[path])
    module, leaf = name.rsplit(".", 1)
    for third, projection in enumerate(_FUSED):
        if module.endswith(projection):
            layer = modules[module.removesuffix(f".{projection}")]
            return Slot(path, f"{prefix}{layer}.attn.in_proj_{leaf}", kind, third)
    return Slot(path, prefix + _renamed(name, modules, _OPENCLIP), kind)


def _text_slots(config: TextConfig, shapes: Shapes, prefix: str) -> list[Slot]:
    if prefix.endswith(TEXT_PREFIX):
        return [
            Slot(path, prefix + torch_name(path), leaf_kind(path, shapes[path])) for path in shapes
        ]
    modules = _openclip_modules(config)
    return [_openclip_slot(path, shapes, modules, prefix) for path in shapes]


def single_file_slots(part: str, spec: ModelSpec, shapes: Shapes) -> list[Slot]:
    """Slots of one part (`unet`, `vae`, `text_0`, `text_1`) in a single file."""
    if part == "unet":
        return _unet_slots(spec, shapes)
    if part == "vae":
        return _vae_slots(spec.vae, shapes)
    number = int(part.removeprefix("text_"))
    prefix = TEXT[spec.layout.single_file][number]
    return _text_slots(spec.text[number], shapes, prefix)
