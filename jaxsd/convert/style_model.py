"""Files of T2I style adapters, in the names of the authors' code."""

from pathlib import Path

from jaxsd.config import VisionConfig
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.original.names import openclip_slots
from jaxsd.convert.parameters import vision_parameters
from jaxsd.convert.slots import Slot, fill

HEADS = 8
_LEARNT, _LAYERS = "style_embedding", "transformer_layes."


def open_style_model(path: Path) -> tuple[VisionConfig, int, FlatTree]:
    """The numbers of a style adapter, how many tokens it learnt, and its tensors by path.

    Raises:
      ValueError: one line, for a file of something else.
    """
    tensors, _ = open_weights(path)
    shapes = FileShapes(tensors, "")
    if _LEARNT not in shapes or "proj" not in shapes:
        raise ValueError(f"{path} is {kind_of(tensors)}, not a T2I style adapter")
    try:
        config = VisionConfig(
            width=shapes.size("proj", 0),
            layers=shapes.count(_LAYERS),
            heads=HEADS,
            mlp_width=shapes.size(f"{_LAYERS}0.mlp.c_fc.weight", 0),
            activation="quick_gelu",
            image_size=1,
            patch_size=1,
            projection_dim=shapes.size("proj", 1),
        )
        tokens = shapes.size(_LEARNT, 1)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a T2I style adapter: {error}") from None
    own = style_parameters(config, tokens)
    clip = {name: shape for name, shape in own.items() if name != _LEARNT}
    slots = [Slot(_LEARNT, _LEARNT, "same"), *openclip_slots(config, clip, "")]
    named = [
        slot._replace(name=slot.name.replace("transformer.resblocks.", _LAYERS)) for slot in slots
    ]
    return config, tokens, fill(named, own, tensors, str(path))


def style_parameters(config: VisionConfig, tokens: int) -> Shapes:
    """Path -> shape of a style adapter."""
    shapes = vision_parameters(config)
    kept = {name: shape for name, shape in shapes.items() if not name.startswith("embeddings/")}
    return {_LEARNT: (1, tokens, config.width), **kept}
