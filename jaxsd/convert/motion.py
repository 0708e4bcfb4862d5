"""Motion modules: AnimateDiff's own files, and diffusers' folders and files of a MotionAdapter."""

import re
from pathlib import Path
from typing import NamedTuple

from jaxsd.config import MotionConfig, MotionPlace, UNetConfig, motion_places
from jaxsd.convert.adapter_parameters import motion_parameters
from jaxsd.convert.diffusers.fields import Fields, read_json
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.weight_files import open_folder, open_weights
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.names import torch_slots
from jaxsd.convert.slots import fill
from jaxsd.families import FAMILIES
from jaxsd.terminal import printable

ADAPTER = "MotionAdapter"
KIND = "AnimateDiff's motion modules"
_FIRST = "down_blocks.0.motion_modules.0."
_POSITIONS = re.compile(r"\.(pos_embed|pos_encoder)\.pe$")
_MODERN = (
    (".temporal_transformer.", "."),
    (".norms.0.", ".norm1."),
    (".norms.1.", ".norm2."),
    (".ff_norm.", ".norm3."),
    (".attention_blocks.0.", ".attn1."),
    (".attention_blocks.1.", ".attn2."),
)
"""What names of AnimateDiff's own code are in diffusers."""


class StoredMotion(NamedTuple):
    """Motion modules in a file or a folder, opened; no weight is read yet."""

    config: MotionConfig
    tensors: FlatTree  # by the names of `motion_places`


def open_motion(path: Path, unet: UNetConfig, family: str) -> StoredMotion:
    """The motion modules for a U-Net.

    Args:
      path: of a file, or of diffusers' folder of a MotionAdapter.
      unet: numbers of the U-Net.
      family: what an error calls it.

    Raises:
      ValueError: one line: a file of another kind, or modules for another U-Net.
      OSError: there is no such file.
    """
    if path.is_dir():
        heads, tensors = _heads_of(path), open_folder(path)
    else:
        heads, tensors = MotionConfig.heads, open_weights(path)[0]
    if (kind := kind_of(tensors)) != KIND:
        raise ValueError(f"{path} is {kind}, and not {KIND}")
    tensors = modern(tensors)
    _check_family(path, tensors, unet, family)
    try:
        named = FileShapes(tensors, "")
        lengths = {named.size(name, 1) for name in tensors if _POSITIONS.search(name)}
        if len(lengths) != 1:
            raise ValueError(f"it has positions of {sorted(lengths) or 'no'} frames, not of one")
        depth = FileShapes(tensors, _FIRST).count("transformer_blocks.")
        config = MotionConfig(lengths.pop(), heads, depth, unet.norm_groups)
        shapes = motion_parameters(_places(unet, tensors), depth)
        learnt = {name: t for name, t in tensors.items() if not _POSITIONS.search(name)}
        return StoredMotion(config, fill(torch_slots(shapes), shapes, learnt, "it"))
    except ValueError as error:
        raise ValueError(printable(f"{path} cannot be read as motion modules: {error}")) from error


def modern(tensors: FlatTree) -> FlatTree:
    """The tensors under diffusers' names."""

    def renamed(name: str) -> str:
        name = name.removeprefix("module.")
        for old, new in _MODERN:
            name = name.replace(old, new)
        return name

    return {renamed(name): tensor for name, tensor in tensors.items()}


def _heads_of(folder: Path) -> int:
    """The heads that a folder's config.json states; shapes say all else."""
    where = folder / "config.json"
    fields = Fields(read_json(where), str(where))
    fields.one_of("_class_name", (ADAPTER,), ADAPTER)
    fields.require({"conv_in_channels": None})
    return fields.number("motion_num_attention_heads", MotionConfig.heads)


def _places(unet: UNetConfig, tensors: FlatTree) -> list[MotionPlace]:
    """The places of a U-Net, without the middle where a file has no module for it."""
    places = list(motion_places(unet))
    return places if any(name.startswith("mid_block.") for name in tensors) else places[:-1]


def _check_family(path: Path, tensors: FlatTree, unet: UNetConfig, family: str) -> None:
    """Refuses modules for another U-Net, by their places and widths.

    Raises:
      ValueError: naming both.
    """
    ending = ".proj_in.weight"
    found = {name: t.shape for name, t in tensors.items() if name.endswith(ending)}

    def fits(unet: UNetConfig) -> bool:
        wanted = {
            re.sub(r"_(\d+)(/|$)", r".\1\2", place.name).replace("/", ".") + ending: place.channels
            for place in _places(unet, tensors)
        }
        return wanted == {name: shape[0] for name, shape in found.items() if len(shape) == 2}

    if fits(unet):
        return
    families = (name for name, spec in FAMILIES.items() if fits(spec.unet))
    told = next(families, f"another U-Net ({len(found)} modules)")
    raise ValueError(
        f"{path} has motion modules for {told}, and the model is {family}; take those that were "
        "trained for it"
    )
