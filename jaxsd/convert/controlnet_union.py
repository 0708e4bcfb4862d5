"""ControlNet-Union: a diffusers folder, or a single file in the same names. Read, never written."""

from dataclasses import replace
from pathlib import Path

from jaxsd.config import ControlNetConfig
from jaxsd.convert.adapter_parameters import controlnet_parameters
from jaxsd.convert.diffusers.controlnet_settings import controlnet_config
from jaxsd.convert.diffusers.fields import Fields, read_json
from jaxsd.convert.diffusers.parts import is_linear
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.weight_files import open_folder
from jaxsd.convert.layer_shapes import Shapes, dense, norm
from jaxsd.convert.names import torch_slots
from jaxsd.convert.slots import Slot, fill

UNION = "ControlNetUnionModel"
_CLASSES = (UNION, "ControlNetModel_Union", "ControlNetModel")
KIND = "task_embedding"
"""A tensor that only such a network has: a row for each kind of picture."""
_OWN = {
    "addition_embed_type_num_heads",
    "num_control_type",
    "num_proj_channel",
    "num_trans_channel",
    "num_trans_head",
    "num_trans_layer",
}
"""Settings that a plain ControlNet does not have. Shapes tell what matters of them."""


def open_union_folder(folder: Path) -> tuple[ControlNetConfig, FlatTree]:
    """The numbers and parameters of the network in a folder.

    Raises:
      ValueError: one line that says what is wrong with it.
    """
    where = folder / "config.json"
    settings, tensors = read_json(where), open_folder(folder)
    Fields(settings, str(where)).one_of("_class_name", _CLASSES, UNION)
    plain = {name: value for name, value in settings.items() if name not in _OWN}
    plain.setdefault("conditioning_embedding_out_channels", [48, 96, 192, 384])
    config = controlnet_config(plain, str(where))
    try:
        config = with_kinds(config, FileShapes(tensors, ""))
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    return config, filled(config, tensors, str(folder), linear=is_linear(settings))


def with_kinds(config: ControlNetConfig, shapes: FileShapes) -> ControlNetConfig:
    """The network's numbers, those of a plain ControlNet given.

    Raises:
      ValueError: there is no such network.
    """
    layers = shapes.count("transformer_layes.")
    return replace(config, kinds=shapes.size(KIND, 0), kind_layers=layers)


def filled(config: ControlNetConfig, tensors: FlatTree, where: str, *, linear: bool) -> FlatTree:
    """Path -> parameter, from a file's tensors by name; `linear` as in `torch_slots`.

    Raises:
      Mismatch: if they are not exactly those of `config`.
    """
    own = _own_parameters(config)
    shapes = controlnet_parameters(config)
    slots = torch_slots(shapes, linear=linear) + [_slot(path, shape) for path, shape in own.items()]
    return fill(slots, shapes | own, tensors, where)


def union_parameters(config: ControlNetConfig) -> Shapes:
    """Path -> shape. Queries and keys, which change nothing, are left out."""
    return controlnet_parameters(config) | _own_parameters(config)


def _own_parameters(config: ControlNetConfig) -> Shapes:
    width, time = config.unet.levels[0].channels, config.unet.time_dim
    shapes: Shapes = {f"{KIND}/embedding": (config.kinds, width)}
    for block in (f"transformer_layes_{i}" for i in range(config.kind_layers)):
        shapes |= norm(f"{block}/ln_1", width) | norm(f"{block}/ln_2", width)
        shapes |= dense(f"{block}/v_proj", width, width) | dense(f"{block}/out_proj", width, width)
        shapes |= dense(f"{block}/c_fc", width, 4 * width)
        shapes |= dense(f"{block}/c_proj", 4 * width, width)
    shapes |= dense("spatial_ch_projs", width, width)
    waves = config.kinds * config.unet.added.time_id_dim
    shapes |= dense("control_add_embedding/linear_1", waves, time)
    return shapes | dense("control_add_embedding/linear_2", time, time)


_MODULES = {"out_proj": "attn.out_proj", "c_fc": "mlp.c_fc", "c_proj": "mlp.c_proj"}


def _slot(path: str, shape: tuple[int, ...]) -> Slot:
    """Where a parameter of its own lies; PyTorch fuses query, key and value."""
    if path.startswith(KIND):
        return Slot(path, KIND, "same")
    *block, module, leaf = path.split("/")
    before = "".join(f"{name.replace('layes_', 'layes.')}." for name in block)
    word, kind = "bias" if leaf == "bias" else "weight", "dense" if shape[1:] else "same"
    if module == "v_proj":
        return Slot(path, f"{before}attn.in_proj_{word}", kind, third=2)
    return Slot(path, f"{before}{_MODULES.get(module, module)}.{word}", kind)
