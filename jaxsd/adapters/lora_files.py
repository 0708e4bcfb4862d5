"""Reads and writes LoRA files with the key names of PEFT and diffusers, or of kohya.

Factors keep the dtype that they are stored in; alpha is float32. If a file does not state alpha,
alpha is the rank.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxsd.adapters.lora import Factors, Lora
from jaxsd.adapters.lora_metadata import ADAPTER, adapter_metadata, kohya_metadata, stated_alphas
from jaxsd.adapters.lora_names import AdaptedKernel, adapted_kernels, spellings
from jaxsd.config import ModelSpec
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import FlatTree, LazyTensor, in_memory
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.parameters import Shapes
from jaxsd.convert.slots import Mismatch, Slot, fill, lay_out
from jaxsd.terminal import printable

_KEY = re.compile(
    r"(?P<module>.+?)\.(?:"
    r"(?P<down>(?:lora_A(?:\.\w+)?|lora\.down|lora_linear_layer\.down|lora_down|down)\.weight)|"
    r"(?P<up>(?:lora_B(?:\.\w+)?|lora\.up|lora_linear_layer\.up|lora_up|up)\.weight)|"
    r"(?P<mid>lora_mid\.weight)|"
    r"(?P<alpha>alpha))"
)
_OTHERS = (
    ("LoHa", re.compile(r"\.hada_")),
    ("LoKr", re.compile(r"\.lokr_")),
    ("DoRA", re.compile(r"\.(dora_scale|lora_magnitude_vector)\b")),
    ("OFT", re.compile(r"\.oft_")),
    ("a full difference", re.compile(r"\.(diff|diff_b)$")),
    ("a LoRA with biases", re.compile(r"\.lora_B(\.\w+)?\.bias$")),
    ("a LoRA by module number (cloneofsimo)", re.compile(r"^(unet|text_encoder):\d+:(up|down)$")),
)
"""Other kinds of adapter, and a pattern of their keys."""

Keys = dict[str, dict[str, str]]
"""Path of a kernel -> role of a factor -> its name in a file."""


def read_lora(path: str | Path, spec: ModelSpec) -> Lora:
    """The LoRA in a file, for the model of `spec`.

    The names of the keys tell the format: PEFT's `unet.conv_in.lora_A.weight`, diffusers'
    `….processor.to_q_lora.down.weight` and `….lora_linear_layer.up.weight`, kohya's `lora_unet_…`
    and `lora_te_…`, with the U-Net's modules named as in diffusers or in XL's original code.

    Returns:
      Path of a kernel -> NumPy arrays `down`, `up`, `alpha`, and `mid` where there is one, in the
      shapes of `jaxsd.adapters.lora`.

    Raises:
      ValueError: in one line, if it is of another kind (LoHa, LoKr, DoRA, ...), or has keys or
        shapes that are not the model's.
    """
    path = Path(path)
    tensors, facts = open_weights(path)
    _check_kind(path, tensors)
    keys = _found(path, tensors, spec)
    kernels = adapted_kernels(spec)
    slots, shapes = _layout(keys, {name: kernels[name] for name in keys}, _ranks(keys, tensors))
    factors = {slot.name: tensors[slot.name] for slot in slots if slot.name in tensors}
    tree = fill(slots, shapes, factors, str(path))
    stated = stated_alphas(path, facts, [kernels[name] for name in keys])
    lora: Lora = {}
    for name, roles in keys.items():
        lora[name] = {
            role: tree[f"{name}/{role}"].read() for role in ("down", "mid", "up") if role in roles
        }
        if not all(np.isfinite(factor).all() for factor in lora[name].values()):
            raise ValueError(f"{path} has numbers that are not finite in {name}; it is of no use")
        rank = lora[name]["up"].shape[-2]
        alpha = _scalar(path, roles["alpha"], tensors) if "alpha" in roles else stated.get(name)
        lora[name]["alpha"] = np.asarray(rank if alpha is None else alpha, np.float32)
    return lora


def _check_kind(path: Path, tensors: FlatTree) -> None:
    for kind, pattern in _OTHERS:
        key = next((name for name in tensors if pattern.search(name)), None)
        if key is not None:
            raise ValueError(f"{path} is {kind} ({key}); only LoRA and LoCon can be read")


def _found(path: Path, tensors: FlatTree, spec: ModelSpec) -> Keys:
    """Which kernels a file has factors of."""
    names = spellings(spec)
    keys: Keys = {}
    unknown = []
    for key in tensors:
        match = _KEY.fullmatch(key)
        kernel = names.get(match["module"]) if match else None
        if kernel is None:
            unknown.append(key)
            continue
        roles = keys.setdefault(kernel, {})
        if match.lastgroup in roles:
            raise ValueError(f"{path} has {key} twice, also as {roles[match.lastgroup]}")
        roles[match.lastgroup] = key
    if unknown:
        raise Mismatch(f"as a LoRA of {spec.family}, {path}", (), unknown, ())
    if not keys:
        raise ValueError(f"{path} is empty, not a LoRA")
    return keys


def _ranks(keys: Keys, tensors: FlatTree) -> dict[str, int]:
    """The rank of each kernel's factors, from `up`, or from `down` if there is no `up`."""
    ranks = {}
    for name, roles in keys.items():
        axis, role = (1, "up") if "up" in roles else (0, "down")
        shape = tensors[roles[role]].shape if role in roles else ()
        ranks[name] = max(1, shape[axis]) if len(shape) > axis else 1
    return ranks


def _scalar(path: Path, key: str, tensors: FlatTree) -> float:
    shape = tensors[key].shape
    if math.prod(shape) != 1:
        raise ValueError(printable(f"{path}: {key} is {list(shape)} instead of one number"))
    value = float(tensors[key].read().reshape(()))
    if not math.isfinite(value):
        raise ValueError(printable(f"{path}: {key} is {value}, which is not a finite number"))
    return value


def _layout(
    keys: Keys, kernels: Mapping[str, AdaptedKernel], ranks: Mapping[str, int]
) -> tuple[list[Slot], Shapes]:
    """Slots and shapes of the factors of some kernels; paths end with the factor's role."""
    slots: list[Slot] = []
    shapes: Shapes = {}
    for name, roles in keys.items():
        kernel = kernels[name]
        for role, shape in _shapes(kernel.shape, ranks[name], "mid" in roles).items():
            place = f"{name}/{role}"
            slots.append(Slot(place, roles.get(role, f"{role} of {name}"), kernel.kind))
            shapes[place] = shape
    return slots, shapes


def _shapes(kernel: tuple[int, ...], rank: int, twice: bool) -> Shapes:
    """Shapes of the factors of a kernel; `twice` if there is a `mid` factor."""
    *window, inputs, outputs = kernel
    point = [1 for _ in window]
    shapes = {"down": (*(point if twice else window), inputs, rank), "up": (*point, rank, outputs)}
    return shapes | ({"mid": (*window, rank, rank)} if twice else {})


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
    slots, shapes = _layout(keys, kernels, ranks)
    tree: dict[str, LazyTensor] = {
        f"{name}/{role}": in_memory(factors[role])
        for name, factors in lora.items()
        for role in keys[name]
    }
    return lay_out(slots, shapes, tree, "the LoRA")
