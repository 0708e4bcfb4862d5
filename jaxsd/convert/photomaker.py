"""PhotoMaker's files: a CLIP's vision tower with two projections, and layers that fuse."""

from pathlib import Path

from jaxsd.config import VisionConfig
from jaxsd.convert.adapter_parameters import photomaker_parameters
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree, without
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.image_encoder import vision_of_shapes
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.names import PROJECTIONS, torch_name
from jaxsd.convert.slots import Slot, fill, leaf_kind, stacked

_ENCODER, _LORA = "id_encoder.", "lora_weights."
"""The two tables of the file: what sees and fuses, and a LoRA, which is a file of its own too."""
_VISION = "vision_model."
_PROJECTION, _SECOND = (f"{PROJECTIONS[1]}{end}.weight" for end in ("", "_2"))
_HEAD_WIDTH = 64
"""Of a ViT-L/14, the tower of all PhotoMakers."""


def open_photomaker(path: Path) -> tuple[VisionConfig, FlatTree]:
    """The numbers and parameters of a PhotoMaker of version 1, of which none is read yet.

    The LoRA in the same file is left aside.

    Args:
      path: the authors' .bin, or its table `id_encoder` alone, in any format.

    Raises:
      ValueError: one line that says what is wrong with it.
      OSError: there is no such file.
    """
    tensors, _ = open_weights(path)
    if (kind := kind_of(tensors)) != "a PhotoMaker":
        raise ValueError(f"{path} is {kind}, not a PhotoMaker")
    tensors = {
        name.removeprefix(_ENCODER): tensor
        for name, tensor in tensors.items()
        if not name.startswith(_LORA)
    }
    if any(name.startswith("qformer_perceiver.") for name in tensors):
        raise ValueError(
            f"{path} is a PhotoMaker v2, which sees a face by two networks; take photomaker-v1.bin"
        )
    tensors = without(tensors, [f"{_VISION}embeddings.position_ids"])
    try:
        tensors = _of_one_projection(tensors)
        heads = FileShapes(tensors, _VISION).size("embeddings.class_embedding", 0) // _HEAD_WIDTH
        config = vision_of_shapes(tensors, heads, "quick_gelu")
        shapes = photomaker_parameters(config)
        return config, fill(_slots(shapes), shapes, tensors, "it")
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a PhotoMaker: {error}") from error


def _of_one_projection(tensors: FlatTree) -> FlatTree:
    """The tensors with one projection [d1 + d2, width] in place of two.

    Raises:
      ValueError: one is missing, or they are not of one width.
    """
    shapes = FileShapes(tensors, "")
    seen, also = (shapes.size(name, 1) for name in (_PROJECTION, _SECOND))
    if seen != also:
        raise ValueError(f"{_SECOND} takes {also} numbers, and {_PROJECTION} {seen}")
    both = stacked([tensors[_PROJECTION], tensors[_SECOND]])
    return without(tensors, [_SECOND]) | {_PROJECTION: both}


def _slots(shapes: Shapes) -> list[Slot]:
    return [Slot(path, _name(path), leaf_kind(path, shape)) for path, shape in shapes.items()]


def _name(path: str) -> str:
    own = path.removeprefix("vision/")
    prefix = _VISION if own != path and not own.startswith(PROJECTIONS) else ""
    return prefix + torch_name(own)
