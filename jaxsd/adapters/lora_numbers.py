"""Names for the keys of cloneofsimo's files, which have only numbers: `unet:0:up`, `unet:0:down`.

The numbers count the dense layers of some classes of modules, in the order in which PyTorch has
them: blocks on the way down, up, and then the one in the middle.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxsd.adapters.lora_names import AdaptedKernel, adapted_kernels
from jaxsd.config import ModelSpec
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.slots import Mismatch
from jaxsd.terminal import printable
from jaxsd.text_files import json_of

_KEY = re.compile(r"(?P<part>unet|text_encoder):(?P<number>\d+):(?P<role>up|down)")
_CLASSES = {
    "unet": {"CrossAttention", "Attention", "GEGLU"},
    "text_encoder": {"CLIPAttention"},
}
"""Classes of modules whose dense layers are adapted; "CrossAttention" is now named "Attention"."""

_LAYER = re.compile(
    r"(?P<block>.+)\.(?P<kind>attn1|attn2|ff|self_attn)\.(?P<layer>to_[qkv]|to_out|net\.0|\w+_proj)\b.*"
)
_WITHIN = ("to_q", "to_k", "to_v", "to_out", "net.0", "k_proj", "v_proj", "q_proj", "out_proj")
_STAGES = ("down_blocks", "up_blocks", "mid_block")
_ORDERS = {
    # diffusers had the feed-forward layer between the two attentions until 0.12.
    "unet": (("attn1", "ff", "attn2"), ("attn1", "attn2", "ff")),
    "text_encoder": (("self_attn",),),
}
_ROLES = {"up": "lora_B", "down": "lora_A"}


def named_by_number(
    path: Path, tensors: FlatTree, facts: Mapping[str, str], spec: ModelSpec
) -> FlatTree:
    """The tensors of a file with PEFT's names in place of numbers; other files as they are.

    Raises:
      ValueError: numbers of layers that are not known, or a file with only some such names.
      Mismatch: there are not as many as the model has, or of other shapes.
    """
    parts: dict[str, FlatTree] = {}
    for key, tensor in tensors.items():
        if match := _KEY.fullmatch(key):
            parts.setdefault(match["part"], {})[key] = tensor
    if not parts:
        return tensors
    if unknown := tensors.keys() - {key for own in parts.values() for key in own}:
        raise Mismatch(f"as a LoRA by module number, {path}", (), sorted(unknown), ())
    named: FlatTree = {}
    for part, own in parts.items():
        _check_classes(path, part, facts)
        modules = _modules(path, part, own, spec)
        for key, tensor in own.items():
            match = _KEY.fullmatch(key)
            module = modules[int(match["number"])].module
            named[f"{part}.{module}.{_ROLES[match['role']]}.weight"] = tensor
    return named


def _check_classes(path: Path, part: str, facts: Mapping[str, str]) -> None:
    """Checks that the file counts the layers of the usual classes alone."""
    if part in facts:
        stated = json_of(facts[part], f"{path}: {part}")
        if not isinstance(stated, list) or not _CLASSES[part].issuperset(map(str, stated)):
            known = ", ".join(sorted(_CLASSES[part]))
            raise ValueError(printable(f"{path} adapts {stated} of {part}; only {known} are known"))


def _modules(path: Path, part: str, own: FlatTree, spec: ModelSpec) -> list[AdaptedKernel]:
    """The layers of a part by their numbers, in the order whose shapes fit."""
    layers = [
        (match, kernel)
        for kernel in adapted_kernels(spec).values()
        if kernel.part == part and (match := _LAYER.fullmatch(kernel.module))
    ]
    for order in _ORDERS[part]:
        modules = [kernel for _, kernel in sorted(layers, key=lambda one: _place(one[0], order))]
        if _fit(own, part, modules):
            return modules
    some = f"{part}: {len(own) // 2} layers that are not the {len(layers)} of the model"
    raise Mismatch(f"as a LoRA of {spec.family}, {path}", (), (), [some])


def _place(layer: re.Match[str], order: tuple[str, ...]) -> tuple[object, ...]:
    """What layers are sorted by: stage, block, attention or feed-forward, layer."""
    stage = next((n for n, name in enumerate(_STAGES) if layer["block"].startswith(name)), 0)
    block = tuple(map(int, re.findall(r"\d+", layer["block"])))
    return stage, block, order.index(layer["kind"]), _WITHIN.index(layer["layer"])


def _fit(own: FlatTree, part: str, modules: Sequence[AdaptedKernel]) -> bool:
    """Whether the file has factors for each of the layers, of their shapes."""
    sides = {"up": (0, -1), "down": (-1, -2)}  # the axis of the factor, and of our kernel
    wanted = {
        f"{part}:{n}:{role}": (axis, kernel.shape[ours])
        for n, kernel in enumerate(modules)
        for role, (axis, ours) in sides.items()
    }
    return own.keys() == wanted.keys() and all(
        len(own[key].shape) == 2 and own[key].shape[axis] == size
        for key, (axis, size) in wanted.items()
    )
