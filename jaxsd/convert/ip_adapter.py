"""IP-Adapters from Tencent's files: .safetensors, or .bin with two tables of tensors."""

import re
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from jaxsd.config import UNetConfig
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.ip_projections import (
    PROJECTION,
    Projecting,
    projection_config,
    projection_parameters,
    projection_slots,
)
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.names import torch_name
from jaxsd.convert.slots import Slot, fill
from jaxsd.families import FAMILIES

_LORA = re.compile(r"ip_adapter\.(\d+)\.(to_(?:q|k|v|out)_lora\.(?:down|up)\.weight)")
"""Tensors of the LoRA inside of an adapter for faces, with the number of the attention."""


class StoredAdapter(NamedTuple):
    """An IP-Adapter in a file, opened.

    Attributes:
      projection: numbers of the network that makes tokens.
      tensors: `projection/PATH` and `layers/PATH`, where the latter are kernels for keys and
        values, `to_k/kernel` and `to_v/kernel`, by the paths of the U-Net's cross-attentions.
    """

    projection: Projecting
    tensors: FlatTree


def open_ip_adapter(path: Path, unet: UNetConfig, family: str) -> StoredAdapter:
    """An IP-Adapter for a U-Net, whose weights are not read yet.

    Args:
      path: of the file.
      unet: numbers of the U-Net.
      family: what an error calls it.

    Raises:
      ValueError: one line: a file of another kind, or an adapter for another U-Net.
      OSError: there is no such file.
    """
    tensors, _ = open_weights(path)
    if (kind := kind_of(tensors)) != "an IP-Adapter":
        raise ValueError(f"{path} is {kind}, not an IP-Adapter")
    shapes = FileShapes(tensors, PROJECTION)
    if "perceiver_resampler.proj_in.weight" in shapes:
        raise ValueError(
            f"{path} is an IP-Adapter FaceID Plus, which sees a face by two networks; take a plain "
            "FaceID"
        )
    check_family(path, tensors, unet, family)
    tensors = {name: own for name, own in tensors.items() if not _LORA.fullmatch(name)}
    try:
        config = projection_config(shapes)
        trees = {"projection": projection_parameters(config), "layers": layer_parameters(unet)}
        parameters = {f"{name}/{p}": s for name, tree in trees.items() for p, s in tree.items()}
        slots = [*projection_slots(config), *_layer_slots(unet)]
        return StoredAdapter(config, fill(slots, parameters, tensors, "it"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as an IP-Adapter: {error}") from error


class Faces(NamedTuple):
    """What a file of an IP-Adapter has to do with faces."""

    sees: bool  # whether it sees the embedding of one (FaceID)
    has_lora: bool  # whether there is a LoRA inside


def faces_in(path: Path) -> Faces:
    """Whether a file is an IP-Adapter for faces; the last few answers are remembered.

    Raises:
      ValueError: it holds no weights.
      OSError: there is no such file.
    """
    return _faces_in(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _faces_in(path: Path, changed: int) -> Faces:
    tensors, _ = open_weights(path)
    shapes = FileShapes(tensors, PROJECTION)
    sees = "norm.weight" in shapes and "proj.0.weight" in shapes
    return Faces(sees, any(map(_LORA.fullmatch, tensors)))


def lora_within(tensors: FlatTree, unet: UNetConfig) -> FlatTree:
    """The LoRA inside of an adapter for faces, under diffusers' names; empty where there is none.

    The file numbers all attentions, of which every second one is a cross-attention.
    """
    paths = [path for path, _ in cross_attentions(unet)]
    each = [own for path in paths for own in (path.removesuffix("2") + "1", path)]
    named = [torch_name(f"unet/{path}/processor/kernel").removesuffix("weight") for path in each]
    return {
        named[int(found[1])] + found[2] if int(found[1]) < len(named) else name: tensor
        for name, tensor in tensors.items()
        if (found := _LORA.fullmatch(name))
    }


def cross_attentions(unet: UNetConfig) -> list[tuple[str, int]]:
    """Path and width of each cross-attention, in diffusers' order: down, up, middle."""
    last = unet.levels[-1]
    blocks = [
        *((f"down_blocks_{i}", level, level.resnets) for i, level in enumerate(unet.levels)),
        *((f"up_blocks_{i}", one, one.resnets + 1) for i, one in enumerate(unet.levels[::-1])),
        ("mid_block", replace(last, attention_depth=unet.mid_depth), 1),
    ]
    return [
        (f"{block}/attentions_{j}/transformer_blocks_{k}/attn2", level.channels)
        for block, level, attentions in blocks
        for j in range(attentions)
        for k in range(level.attention_depth)
    ]


def layer_parameters(unet: UNetConfig) -> Shapes:
    """Path -> shape of the kernels for keys and values."""
    return {
        f"{path}/{name}/kernel": (unet.context_dim, width)
        for path, width in cross_attentions(unet)
        for name in ("to_k", "to_v")
    }


def _layer_slots(unet: UNetConfig) -> list[Slot]:
    """The file numbers all attentions, and every second one is a cross-attention."""
    return [
        Slot(f"layers/{path}/{name}/kernel", f"ip_adapter.{2 * i + 1}.{name}_ip.weight", "dense")
        for i, (path, _) in enumerate(cross_attentions(unet))
        for name in ("to_k", "to_v")
    ]


def check_family(path: Path, tensors: FlatTree, unet: UNetConfig, family: str) -> None:
    """Refuses an adapter for another U-Net, by its kernels for keys.

    Raises:
      ValueError: naming both.
    """
    keys = (one.shape for name, one in tensors.items() if name.endswith(".to_k_ip.weight"))
    found = Counter(shape for shape in keys if len(shape) == 2)
    if found == _keys_of(unet):
        return
    families = (name for name, spec in FAMILIES.items() if _keys_of(spec.unet) == found)
    widths = " and ".join(str(width) for width in sorted({context for _, context in found}))
    told = f"another U-Net ({found.total()} cross-attentions to tokens {widths} wide)"
    told = next(families, told)
    raise ValueError(
        f"{path} is an IP-Adapter for {told}, and the model is {family}; take one that was trained "
        "for it"
    )


def _keys_of(unet: UNetConfig) -> Counter[tuple[int, int]]:
    return Counter((width, unet.context_dim) for _, width in cross_attentions(unet))
