"""T2I-Adapters: diffusers' folders, and single files in diffusers' or TencentARC's names."""

import re
from pathlib import Path

from jaxsd.config import T2IAdapterConfig
from jaxsd.convert.diffusers.fields import Config, Fields, read_json
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.weight_files import open_folder
from jaxsd.convert.layer_shapes import Shapes, conv
from jaxsd.convert.slots import Slot, fill, leaf_kind

T2I = "T2IAdapter"
_PREFIX = "adapter."
_HALVES = {
    "full_adapter": (False, True, True, True),
    "light_adapter": (False, True, True, True),
    "full_adapter_xl": (False, False, True, False),
}
"""Kind in diffusers -> which levels halve height and width."""
_LEVELS = 4
_DOWNSCALES = {64: 8, 192: 8, 256: 16, 768: 16}
"""Channels that the first layer takes -> pixels along a side that become one feature."""


def open_t2i_folder(folder: Path) -> tuple[T2IAdapterConfig, FlatTree]:
    """The numbers and parameters of a T2I-Adapter in a diffusers folder.

    Raises:
      ValueError: one line that says what is wrong with it.
    """
    where = folder / "config.json"
    config = t2i_config(read_json(where), str(where))
    return config, filled(config, open_folder(folder), str(folder))


def t2i_config(settings: Config, where: str) -> T2IAdapterConfig:
    """The numbers in a diffusers T2IAdapter's config.json.

    Raises:
      ValueError: naming a setting that the network here does not have.
    """
    fields = Fields(settings, where)
    kind = fields.one_of("adapter_type", _HALVES, "full_adapter")
    light = kind == "light_adapter"
    channels = fields.numbers("channels", [320, 640, 1280, 1280])
    if light:
        channels += channels[-1:]
    if len(channels) != _LEVELS:
        why = f"should be {_LEVELS - light} widths for a {kind}"
        raise fields.wrong("channels", list(channels)[: _LEVELS * 2], why)
    config = fields.build(
        T2IAdapterConfig,
        {"condition_channels": "in_channels", "resnets": "num_res_blocks"},
        condition_channels=fields.number("in_channels", 3),
        channels=channels,
        resnets=fields.number("num_res_blocks", 2),
        downscale=fields.number("downscale_factor", 8),
        halves=_HALVES[kind],
        light=light,
    )
    fields.refuse_others(set())
    return config


def open_t2i_tensors(tensors: FlatTree) -> tuple[T2IAdapterConfig, FlatTree]:
    """The numbers and parameters of a T2I-Adapter in the tensors of a file.

    Raises:
      ValueError: a tensor is missing, of the wrong shape, or of another kind of adapter.
    """
    tensors = modern(tensors)
    shapes = FileShapes(tensors, _PREFIX)
    light = "conv_in.weight" not in shapes
    first = "body.0.in_conv.weight" if light else "conv_in.weight"
    last = "out_conv" if light else "resnets.0.block1"
    if (inputs := shapes.size(first, 1)) not in _DOWNSCALES:
        raise ValueError(
            f"its {first} takes {inputs} channels; known are {', '.join(map(str, _DOWNSCALES))}, "
            "those of grey and coloured pictures for SD 1 and XL"
        )
    downscale = _DOWNSCALES[inputs]
    config = T2IAdapterConfig(
        condition_channels=inputs // downscale**2,
        channels=tuple(shapes.size(f"body.{i}.{last}.weight", 0) for i in range(_LEVELS)),
        resnets=shapes.count("body.0.resnets."),
        downscale=downscale,
        halves=_HALVES["full_adapter" if downscale == 8 else "full_adapter_xl"],
        light=light,
    )
    return config, filled(config, tensors, "it")


def modern(tensors: FlatTree) -> FlatTree:
    """The tensors under diffusers' names; the original ones number all blocks, or nest a body."""
    tensors = {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()}
    blocks = FileShapes(tensors, "").count("body.")
    each = max(1, blocks // _LEVELS)  # of a level
    is_flat = "conv_in.weight" in tensors and "body.0.block1.weight" in tensors

    def renamed(name: str) -> str:
        if is_flat and (found := re.match(r"body\.(\d{1,3})\.(.*)", name)):
            level, block = divmod(int(found[1]), each)
            inside = found[2] if found[2].startswith("in_conv") else f"resnets.{block}.{found[2]}"
            name = f"body.{level}.{inside}"
        return _PREFIX + re.sub(r"^(body\.\d+)\.body\.", r"\1.resnets.", name)

    return {renamed(name): tensor for name, tensor in tensors.items()}


def filled(config: T2IAdapterConfig, tensors: FlatTree, where: str) -> FlatTree:
    """Path -> parameter, from tensors in diffusers' names.

    Raises:
      Mismatch: if they are not exactly those of `config`.
    """
    shapes = t2i_parameters(config)
    slots = [Slot(path, torch_name(path), leaf_kind(path, shape)) for path, shape in shapes.items()]
    return fill(slots, shapes, tensors, where)


def torch_name(path: str) -> str:
    """The name in a diffusers file: `body_0/in_conv/kernel` -> `adapter.body.0.in_conv.weight`."""
    module, leaf = re.sub(r"(body|resnets)_(\d+)", r"\1.\2", path).rsplit("/", 1)
    return f"{_PREFIX}{module.replace('/', '.')}.{'weight' if leaf == 'kernel' else leaf}"


def t2i_parameters(config: T2IAdapterConfig) -> Shapes:
    """Path -> shape of a T2I-Adapter."""
    shapes: Shapes = {}
    before = config.condition_channels * config.downscale**2
    if not config.light:
        shapes |= conv("conv_in", before, config.channels[0])
        before = config.channels[0]
    for i, channels in enumerate(config.channels):
        width = channels // 4 if config.light else channels
        if config.light or width != before:
            shapes |= conv(f"body_{i}/in_conv", before, width, size=1)
        for j in range(config.resnets):
            shapes |= conv(f"body_{i}/resnets_{j}/block1", width, width)
            shapes |= conv(f"body_{i}/resnets_{j}/block2", width, width, 3 if config.light else 1)
        if config.light:
            shapes |= conv(f"body_{i}/out_conv", width, channels, size=1)
        before = channels
    return shapes
