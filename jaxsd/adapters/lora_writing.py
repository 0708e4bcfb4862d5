"""Writes LoRA files with the key names of PEFT and diffusers, or of kohya."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxsd.adapters.kinds import Factors
from jaxsd.adapters.lora_factors import Keys, layout
from jaxsd.adapters.lora_metadata import ADAPTER, adapter_metadata, kohya_metadata
from jaxsd.adapters.lora_names import AdaptedKernel, adapted_kernels
from jaxsd.config import ModelSpec
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import FlatTree, LazyTensor, in_memory
from jaxsd.convert.slots import Mismatch, lay_out


def write_lora_peft(path: str | Path, lora: Mapping[str, Factors], spec: ModelSpec) -> None:
    """Write a LoRA as diffusers' training scripts do, for `pipe.load_lora_weights(path)`.

    Ranks and alphas are in the file's metadata (`lora_adapter_metadata`), as in diffusers since
    0.34. Other programs may assume that alpha is the rank; if it is not, write kohya's format.

    Raises:
      ValueError: the factors are not of kernels of the model, or a kernel has `mid`.
    """
    kernels = _kernels(lora, spec)
    twice = [name for name, factors in lora.items() if "mid" in factors]
    if twice:
        raise ValueError(f"PEFT has no place for the middle factor of {twice[0]}; write kohya's")

    def key(kernel: AdaptedKernel, role: str) -> str:
        # diffusers does not recognise PEFT's names of a text encoder if only MLPs are adapted.
        down, up = ("lora_A", "lora_B")
        if kernel.part != "unet":
            down, up = ("lora_linear_layer.down", "lora_linear_layer.up")
        return f"{kernel.part}.{kernel.module}.{down if role == 'down' else up}.weight"

    keys = {name: {role: key(kernels[name], role) for role in ("down", "up")} for name in lora}
    metadata = {"format": "pt", ADAPTER: json.dumps(adapter_metadata(lora, kernels))}
    write_safetensors(Path(path), _tensors(lora, keys, kernels), metadata)


def write_lora_kohya(path: str | Path, lora: Mapping[str, Factors], spec: ModelSpec) -> None:
    """Write a LoRA as kohya's sd-scripts do, for webui and ComfyUI; diffusers reads it too.

    XL's U-Net has the module names of the original code, other networks have diffusers'. diffusers
    0.42.1 loses the alphas of attention kernels that differ from the most common alpha.

    Raises:
      ValueError: the factors are not of kernels of the model, or there are none.
    """
    kernels = _kernels(lora, spec)
    keys = {
        name: {
            role: f"{kernels[name].kohya}.lora_{role}.weight"
            for role in ("down", "mid", "up")
            if role in factors
        }
        for name, factors in lora.items()
    }
    tensors = _tensors(lora, keys, kernels)
    for name, factors in lora.items():
        alpha = np.asarray(factors["alpha"], np.float32)
        tensors[f"{kernels[name].kohya}.alpha"] = in_memory(alpha)
    write_safetensors(Path(path), tensors, kohya_metadata(lora, spec))


def _kernels(lora: Mapping[str, Factors], spec: ModelSpec) -> dict[str, AdaptedKernel]:
    known = adapted_kernels(spec)
    if not lora:
        raise ValueError("the LoRA is empty; there is nothing to write")
    unknown = [name for name in lora if name not in known]
    if unknown:
        raise Mismatch(f"the LoRA is not one of {spec.family} and", (), unknown, ())
    return {name: known[name] for name in lora}


def _tensors(
    lora: Mapping[str, Factors], keys: Keys, kernels: Mapping[str, AdaptedKernel]
) -> FlatTree:
    """A file's tensors by name, from the factors.

    Raises:
      Mismatch: if a factor does not have the shape that its kernel and its rank give it.
    """
    ranks = {name: int(factors["up"].shape[-2]) for name, factors in lora.items()}
    slots, shapes = layout(keys, kernels, ranks)
    tree: dict[str, LazyTensor] = {
        f"{name}/{role}": in_memory(factors[role])
        for name, factors in lora.items()
        for role in keys[name]
    }
    return lay_out(slots, shapes, tree, "the LoRA")
