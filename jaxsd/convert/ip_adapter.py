"""IP-Adapters from Tencent's files: .safetensors, or .bin with two tables of tensors."""

import re
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from jaxsd.config import FaceConfig, PerceptronConfig, ProjectionConfig, ResamplerConfig, UNetConfig
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.names import torch_name
from jaxsd.convert.parameters import Shapes
from jaxsd.convert.slots import Slot, fill, leaf_kind
from jaxsd.families import FAMILIES

_HEAD_WIDTH = 64
_PROJECTION = "image_proj."
_PERCEPTRON = {"fc1": "proj.0", "fc2": "proj.2", "norm": "proj.3"}
_FACE = {"fc1": "proj.0", "fc2": "proj.2"}
_ATTENTION = ("norm1", "norm2", "to_q", "to_kv", "to_out")
_RESAMPLER = {name: f"0.{name}" for name in _ATTENTION} | {
    "norm3": "1.0",
    "fc1": "1.1",
    "fc2": "1.3",
}
"""Our names of layers -> those in files."""
_NAMES = {PerceptronConfig: _PERCEPTRON, FaceConfig: _FACE}

Projecting = ProjectionConfig | PerceptronConfig | FaceConfig | ResamplerConfig
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
    shapes = FileShapes(tensors, _PROJECTION)
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
        slots = [*_projection_slots(config), *_layer_slots(unet)]
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
    shapes = FileShapes(tensors, _PROJECTION)
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


def projection_config(shapes: FileShapes) -> Projecting:
    """The numbers of the network that makes tokens, by the shapes of its tensors.

    Raises:
      ValueError: a tensor is missing, or of the wrong shape.
    """
    if "proj.3.weight" in shapes:
        return PerceptronConfig(shapes.size("proj.0.weight", 1), shapes.size("proj.3.weight", 0))
    if "proj.0.weight" in shapes:
        width = shapes.size("norm.weight", 0)
        tokens = shapes.size("proj.2.weight", 0) // max(1, width)
        hidden, inputs = (shapes.size("proj.0.weight", axis) for axis in (0, 1))
        return FaceConfig(inputs, hidden, tokens, width)
    if "latents" not in shapes:
        width = shapes.size("norm.weight", 0)
        tokens = shapes.size("proj.weight", 0) // max(1, width)
        return ProjectionConfig(shapes.size("proj.weight", 1), tokens, width)
    return ResamplerConfig(
        inputs=shapes.size("proj_in.weight", 1),
        tokens=shapes.size("latents", 1),
        width=shapes.size("proj_out.weight", 0),
        hidden=shapes.size("latents", 2),
        layers=shapes.count("layers."),
        heads=shapes.size("layers.0.0.to_q.weight", 0) // _HEAD_WIDTH,
        mlp_width=shapes.size("layers.0.1.1.weight", 0),
    )


def projection_parameters(config: Projecting) -> Shapes:
    """Path -> shape of the network that makes tokens."""
    inputs, width = config.inputs, config.width
    if isinstance(config, ProjectionConfig):
        return _dense("proj", inputs, config.tokens * width) | _norm("norm", width)
    if isinstance(config, PerceptronConfig):
        layers = _dense("fc1", inputs, inputs) | _dense("fc2", inputs, width)
        return layers | _norm("norm", width)
    if isinstance(config, FaceConfig):
        layers = _dense("fc1", inputs, config.hidden)
        layers |= _dense("fc2", config.hidden, config.tokens * width)
        return layers | _norm("norm", width)
    hidden, inner = config.hidden, config.heads * _HEAD_WIDTH
    shapes = {"latents": (1, config.tokens, hidden), **_dense("proj_in", inputs, hidden)}
    for layer in (f"layers_{i}" for i in range(config.layers)):
        for name in ("norm1", "norm2", "norm3"):
            shapes |= _norm(f"{layer}/{name}", hidden)
        shapes |= {
            f"{layer}/to_q/kernel": (hidden, inner),
            f"{layer}/to_kv/kernel": (hidden, 2 * inner),
            f"{layer}/to_out/kernel": (inner, hidden),
            f"{layer}/fc1/kernel": (hidden, config.mlp_width),
            f"{layer}/fc2/kernel": (config.mlp_width, hidden),
        }
    return shapes | _dense("proj_out", hidden, width) | _norm("norm_out", width)


def _dense(path: str, inputs: int, outputs: int) -> Shapes:
    return {f"{path}/kernel": (inputs, outputs), f"{path}/bias": (outputs,)}


def _norm(path: str, width: int) -> Shapes:
    return {f"{path}/scale": (width,), f"{path}/bias": (width,)}


def _projection_slots(config: Projecting) -> list[Slot]:
    names = _NAMES.get(type(config), _RESAMPLER)
    slots = []
    for path, shape in projection_parameters(config).items():
        name = re.sub(r"layers_(\d+)/(\w+)", lambda found: f"layers.{found[1]}.{found[2]}", path)
        for own, other in names.items():
            name = re.sub(rf"\b{own}\b", other, name)
        name = re.sub(r"/(kernel|scale)$", ".weight", name).replace("/bias", ".bias")
        slots.append(Slot(f"projection/{path}", _PROJECTION + name, leaf_kind(path, shape)))
    return slots


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
