"""Hypernetworks of webui: small networks that change what keys and values are made of."""

import re
from pathlib import Path
from typing import Any

from jaxsd.config import HypernetConfig
from jaxsd.convert.files.tensors import LazyTensor
from jaxsd.convert.files.weight_files import open_weights

_NAME = re.compile(r"(\d+)\.([01])\.(.+)\.(weight|bias)")
_FOR = {"0": "to_k", "1": "to_v"}


def open_hypernetwork(path: Path) -> tuple[HypernetConfig, dict[str, Any]]:
    """A hypernetwork, of which no tensor is read yet.

    Returns:
      Its numbers, and width of the tokens -> "to_k" or "to_v" -> layers in order, each a table of
      `kernel` [in, out] and `bias`, and of `scale` and `shift` where a norm comes behind it.

    Raises:
      ValueError: one line, for a file of something else.
    """
    tensors, facts = open_weights(path)
    found: dict[str, dict[str, dict[str, dict[str, LazyTensor]]]] = {}
    for name, tensor in tensors.items():
        if (match := _NAME.fullmatch(name)) is None:
            raise ValueError(f"{path} is no hypernetwork: it has a tensor {name[:80]}")
        width, number, layer, kind = match.groups()
        layers = found.setdefault(width, {}).setdefault(_FOR[number], {})
        layers.setdefault(layer, {})[kind] = tensor
    trees = {
        width: {place: _layers(path, layers) for place, layers in own.items()}
        for width, own in found.items()
    }
    for width, own in trees.items():
        for layers in own.values():
            sides = [int(width), *(one["kernel"].shape[1] for one in layers)]
            if [one["kernel"].shape[0] for one in layers] != sides[:-1] or sides[-1] != sides[0]:
                raise ValueError(f"{path}: its layers for a width of {width} do not fit together")
        if own.keys() != set(_FOR.values()):
            raise ValueError(f"{path}: its networks for a width of {width} are not two")
    activates = facts.get("activate_output") == "True" or facts.get("is_layer_norm") == "True"
    try:
        return HypernetConfig(facts.get("activation_func", "linear"), activates), trees
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _layers(path: Path, named: dict[str, dict[str, LazyTensor]]) -> list[dict[str, LazyTensor]]:
    made: list[dict[str, LazyTensor]] = []
    for name in sorted(named, key=lambda one: [int(n) for n in re.findall(r"\d+", one)]):
        own = named[name]
        if own.keys() != {"weight", "bias"}:
            raise ValueError(f"{path}: layer {name[:80]} lacks its weight or its bias")
        weight, bias = own["weight"], own["bias"]
        if len(weight.shape) == 1 and made:
            made[-1] |= {"scale": weight, "shift": bias}
        elif len(weight.shape) == 2:
            kernel = weight.transformed(weight.shape[::-1], lambda array: array.T)
            made.append({"kernel": kernel, "bias": bias})
        else:
            raise ValueError(f"{path}: layer {name[:80]} has the shape {list(weight.shape)}")
    return made
