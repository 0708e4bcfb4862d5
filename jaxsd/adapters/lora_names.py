"""Names of a model's kernels in LoRA files.

A name with underscores cannot be split back into modules (`to_q`, `proj_in`, `text_model`), so all
names are made from the model's list of kernels, and looked up.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from jaxsd.config import ModelSpec
from jaxsd.convert.diffusers.folder import part_folder
from jaxsd.convert.diffusers.parts import PARTS, networks
from jaxsd.convert.original.names import UNET, single_file_slots
from jaxsd.convert.parameters import unet_parameters
from jaxsd.convert.slots import Kind, Slot

_KOHYA = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
_ALONE = "lora_te"
"""kohya's prefix for the text encoder of models that have only one."""

_OLD_ATTENTION = re.compile(r"\.(attn\d\.|self_attn\.)(?:to_)?(q|k|v|out)(?:_proj|\.0)?$")


class AdaptedKernel(NamedTuple):
    """A kernel, or the scale of a norm, that an adapter may change.

    Attributes:
      path: in a pipeline's tree, such as `unet/conv_in/kernel`.
      shape: of the kernel in our layout.
      kind: how files store it.
      part: diffusers' name of its network, `unet`, `text_encoder` or `text_encoder_2`.
      module: diffusers' name of the module in that network.
      kohya: the name that kohya's sd-scripts give it, prefix included.
      comfy: the name in ComfyUI's networks, prefix included.
      bias: whether the module has a bias.
    """

    path: str
    shape: tuple[int, ...]
    kind: Kind
    part: str
    module: str
    kohya: str
    comfy: str
    bias: bool


@lru_cache(maxsize=16)
def adapted_kernels(spec: ModelSpec) -> Mapping[str, AdaptedKernel]:
    """Every kernel and scale of the U-Net and the text encoders, by its path."""
    kernels: dict[str, AdaptedKernel] = {}
    for name, (kind, config) in networks(spec).items():
        if name != "unet" and not name.startswith("text_"):
            continue
        shapes = PARTS[kind].shapes(config)
        part = part_folder(name, spec)
        original = _original_names(spec) if name == "unet" else {}
        by_kohya = original if _is_sgm(spec) else {}
        for slot in PARTS[kind].slots(shapes, linear=spec.layout.linear_projection):
            if not slot.path.endswith(("/kernel", "/scale")):
                continue
            path = f"{name.replace('_', '/')}/{slot.path}"
            module = _module(slot)
            kernels[path] = AdaptedKernel(
                path=path,
                shape=shapes[slot.path],
                kind=slot.kind,
                part=part,
                module=module,
                kohya=f"{_prefix(part, spec)}_{_underscored(by_kohya.get(slot.path, module))}",
                comfy=f"{_comfy_prefix(part, spec)}{original.get(slot.path, module)}",
                bias=f"{slot.path.rpartition('/')[0]}/bias" in shapes,
            )
    return kernels


def _module(slot: Slot) -> str:
    return slot.name.removesuffix(".weight")


def _is_sgm(spec: ModelSpec) -> bool:
    """Whether kohya trains the original code's U-Net, as for XL, rather than diffusers'."""
    return spec.layout.single_file in ("xl", "refiner")


def _comfy_prefix(part: str, spec: ModelSpec) -> str:
    if part == "unet":
        return "diffusion_model."
    layout = spec.layout.single_file
    second = part == "text_encoder_2" or layout == "refiner"
    kind = "clip_h" if layout == "v2" else "clip_g" if second else "clip_l"
    return f"text_encoders.{kind}.transformer."


def _original_names(spec: ModelSpec) -> dict[str, str]:
    """Path in the U-Net -> name of the module in the original code."""
    slots = single_file_slots("unet", spec, unet_parameters(spec.unet))
    return {slot.path: _module(slot).removeprefix(UNET) for slot in slots}


def _prefix(part: str, spec: ModelSpec) -> str:
    return _ALONE if part == "text_encoder" and len(spec.text) == 1 else _KOHYA[part]


def _underscored(name: str) -> str:
    return name.replace(".", "_")


@lru_cache(maxsize=16)
def spellings(spec: ModelSpec) -> Mapping[str, str]:
    """Every name that a file may use for a kernel -> path of the kernel."""
    return {
        name: kernel.path
        for kernel in adapted_kernels(spec).values()
        for name in _spellings(kernel)
    }


def _spellings(kernel: AdaptedKernel) -> set[str]:
    """The names in kohya, in diffusers before PEFT and since, in ComfyUI, and in files of a U-Net
    alone.

    Text encoders come with and without transformers' outer module.
    """
    bare = kernel.module.removeprefix("text_model.")
    names = {kernel.kohya, f"{_KOHYA[kernel.part]}_{_underscored(kernel.module)}", kernel.comfy}
    if kernel.part == "text_encoder":
        names.add(f"{_ALONE}_{_underscored(kernel.module)}")
    for module in (kernel.module, bare):
        dotted = f"{kernel.part}.{module}"
        names |= {dotted, _old_name(dotted)}
    if kernel.part == "unet":
        names |= {kernel.module, _old_name(f".{kernel.module}").removeprefix(".")}
    return names


def _old_name(dotted: str) -> str:
    """The name in diffusers until 0.22: `attn1.to_out.0` -> `attn1.processor.to_out_lora`."""

    def old(match: re.Match[str]) -> str:
        attention = match[1] + ("processor." if match[1].startswith("attn") else "")
        return f".{attention}to_{match[2]}_lora"

    return _OLD_ATTENTION.sub(old, dotted)
