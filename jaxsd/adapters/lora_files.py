"""Reads LoRA files with the keys of PEFT and diffusers, of kohya and LyCORIS, or of cloneofsimo.

Factors keep the dtype that they are stored in; alpha is float32. If a file does not state alpha,
alpha is the rank.
"""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsd.adapters.embedding import vectors_of
from jaxsd.adapters.kinds import KINDS, kind_of
from jaxsd.adapters.lora import Lora
from jaxsd.adapters.lora_factors import Keys, check_fits, layout, magnitude, ranks_of, scalar
from jaxsd.adapters.lora_keys import keys_of, refuse_others
from jaxsd.adapters.lora_metadata import stated_alphas
from jaxsd.adapters.lora_names import adapted_kernels
from jaxsd.adapters.lora_numbers import named_by_number
from jaxsd.adapters.peft_files import of_peft
from jaxsd.config import ModelSpec
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.ip_adapter import lora_within
from jaxsd.convert.slots import Mismatch, fill
from jaxsd.families import FAMILIES
from jaxsd.terminal import printable

_APART = ("alpha", "bias", "dora", "lora_bias", "magnitude", "on_input")
"""Roles that are no factors of the kernel's change by themselves."""

_BUNDLED = re.compile(r"bundle_emb\.(?P<word>.+?)\.(?P<name>string_to_param\.\*|clip_[lg])")
_EMBEDDED = "<embed>"
"""What cloneofsimo's files say of a learnt word."""


class LoraFile(NamedTuple):
    """What a LoRA file holds."""

    lora: Lora
    words: dict[str, tuple[np.ndarray, ...]]  # learnt words -> [n, width] for each text encoder


def read_lora(path: str | Path, spec: ModelSpec) -> Lora:
    """The LoRA in a file without its learnt words; see `read_lora_file`."""
    return read_lora_file(path, spec).lora


def read_lora_file(path: str | Path, spec: ModelSpec) -> LoraFile:
    """The LoRA in a file, for the model of `spec`, and the words that were learnt beside it.

    The names of the keys tell the format: PEFT's `unet.conv_in.lora_A.weight`, diffusers'
    `….processor.to_q_lora.down.weight` and `….lora_linear_layer.up.weight`, kohya's `lora_unet_…`
    and `lora_te_…`, with the U-Net's modules named as in diffusers or in XL's original code,
    cloneofsimo's `unet:0:up`, those inside of an IP-Adapter FaceID. The last part of a key tells
    the kind (`jaxsd.adapters.kinds`).

    Returns:
      Path of a kernel, a bias or the scale of a norm -> NumPy arrays by their roles.

    Raises:
      ValueError: in one line, if it is of another kind (PEFT's OFT), of another family, or has keys
        or shapes that are not the model's.
    """
    path = Path(path)
    tensors, facts = open_weights(path)
    tensors = lora_within(tensors, spec.unet) or tensors
    refuse_others(path, tensors)
    tensors = of_peft(path, tensors, spec)
    try:
        words, keyed = _words(path, tensors, facts)
        return LoraFile(_lora(path, keyed, facts, spec), words)
    except Mismatch as error:
        if family := _family(path, tensors, facts, spec):
            raise ValueError(
                f"{path} is a LoRA of {family}, and the model is one of {spec.family}; take a LoRA "
                f"that was trained on {spec.family}"
            ) from error
        raise


def _family(path: Path, tensors: FlatTree, facts: Mapping[str, str], spec: ModelSpec) -> str | None:
    """The family that a file fits which does not fit `spec`; None if there is none."""
    for name, other in FAMILIES.items():
        if other.unet != spec.unet:
            with contextlib.suppress(ValueError):
                _lazy(path, _words(path, tensors, facts)[1], facts, other)
                return name if name != spec.family else None
    return None


def _words(
    path: Path, tensors: FlatTree, facts: Mapping[str, str]
) -> tuple[dict[str, tuple[np.ndarray, ...]], FlatTree]:
    """The learnt words of a file, and its other tensors.

    cloneofsimo's files have a tensor by the name of each word, and say so beside it; kohya's have
    `bundle_emb.WORD.` before the names of a file of an embedding.
    """
    bundles: dict[str, FlatTree] = {}
    rest: FlatTree = {}
    for key, tensor in tensors.items():
        if match := _BUNDLED.fullmatch(key):
            bundles.setdefault(match["word"], {})[match["name"]] = tensor
        elif facts.get(key) == _EMBEDDED:
            bundles[key] = {key: tensor}
        else:
            rest[key] = tensor
    return {word: vectors_of(path, own)[1] for word, own in bundles.items()}, rest


def _lora(path: Path, tensors: FlatTree, facts: Mapping[str, str], spec: ModelSpec) -> Lora:
    kernels = adapted_kernels(spec)
    lazy, alphas, biased = _lazy(path, tensors, facts, spec)
    lora: Lora = {}
    for name, factors in lazy.items():
        lora[name] = own = {role: tensor.read() for role, tensor in factors.items()}
        if not all(np.isfinite(factor).all() for factor in own.values()):
            raise ValueError(f"{path} has numbers that are not finite in {name}; it is of no use")
    ranks = {name: KINDS[kind_of(own)].rank(own) for name, own in lora.items()}
    ranked = {kernels[name]: rank for name, rank in ranks.items() if rank is not None}
    alphas = stated_alphas(path, facts, ranked) | alphas
    for name, own in lora.items():
        alpha = alphas.get(name, ranks[name])
        if alpha is not None and "diff" not in own:
            own["alpha"] = np.asarray(alpha, np.float32)
    for name in biased:
        bias, scale = lora[_bias(name)], lora[name]["alpha"] / ranks[name]
        bias["diff"] = scale * bias["diff"].astype(np.float32)
    return lora


def _lazy(
    path: Path, tensors: FlatTree, facts: Mapping[str, str], spec: ModelSpec
) -> tuple[dict[str, FlatTree], dict[str, float], list[str]]:
    """Path -> role -> tensor, alphas, and the kernels whose `up` has a bias.

    Names and shapes are checked, no factor is read.
    """
    tensors = named_by_number(path, tensors, facts, spec)
    keys, kernels = keys_of(path, tensors, spec), adapted_kernels(spec)
    apart = {role: _taken(keys, role) for role in _APART}
    keys = {name: roles for name, roles in keys.items() if roles or name not in apart["bias"]}
    plain = {name: roles for name, roles in keys.items() if roles.keys() <= {"down", "mid", "up"}}
    slots, shapes = layout(plain, kernels, ranks_of(plain, tensors))
    found = {slot.name: tensors[slot.name] for slot in slots if slot.name in tensors}
    tree = fill(slots, shapes, found, str(path))
    lazy: dict[str, FlatTree] = {}
    for name, roles in keys.items():
        own = {role: tree.get(f"{name}/{role}", tensors[key]) for role, key in roles.items()}
        lazy[name] = own | magnitude(path, apart, name, tensors, kernels[name])
        check_fits(path, name, lazy[name], kernels[name])
    for name, key in (apart["bias"] | apart["lora_bias"]).items():
        bias = kernels[name]._replace(shape=kernels[name].shape[-1:])
        if not bias.bias:
            raise ValueError(printable(f"{path}: {key} changes a bias, and {name} has none"))
        lazy[_bias(name)] = {"diff": tensors[key]}
        check_fits(path, _bias(name), lazy[_bias(name)], bias)
    alphas = {name: scalar(path, key, tensors) for name, key in apart["alpha"].items()}
    return lazy, alphas, list(apart["lora_bias"])


def _bias(kernel: str) -> str:
    return f"{kernel.rpartition('/')[0]}/bias"


def _taken(keys: Keys, role: str) -> dict[str, str]:
    """Takes the keys of a role out of the others."""
    return {name: roles.pop(role) for name, roles in keys.items() if role in roles}
