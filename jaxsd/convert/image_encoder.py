"""CLIP's vision tower alone, as IP-Adapters see with it: a folder of transformers, or one file."""

from pathlib import Path
from typing import Literal, NamedTuple

from jaxsd.config import VisionConfig
from jaxsd.convert.diffusers.fields import read_json
from jaxsd.convert.diffusers.parts import PARTS, PROJECTED_VISION
from jaxsd.convert.diffusers.text_settings import tower
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.weight_files import choose, open_folder, open_weights
from jaxsd.convert.kinds import kind_of

BESIDE = "image_encoder"
"""Name of the folder beside an IP-Adapter's file where its image encoder lies."""
_PREFIX = "vision_model."
_PATCHES = f"{_PREFIX}embeddings.patch_embedding.weight"


class _Tower(NamedTuple):
    heads: int
    activation: Literal["quick_gelu", "gelu"]


_TOWERS = {
    768: _Tower(12, "quick_gelu"),
    1024: _Tower(16, "quick_gelu"),
    1280: _Tower(16, "gelu"),
    1664: _Tower(16, "gelu"),
}
"""Width of CLIP-B, CLIP-L, OpenCLIP-H and OpenCLIP-bigG -> what shapes do not tell."""


def encoder_place(given: str, adapter: str) -> Path:
    """Where the image encoder of an IP-Adapter lies.

    Args:
      given: a file or folder; empty for the folder beside the adapter's file.
      adapter: the adapter's file.

    Raises:
      FileNotFoundError: there is none.
    """
    path = Path(given) if given else Path(adapter).parent / BESIDE
    if not path.exists():
        raise FileNotFoundError(
            f"no image encoder at {path}, which IP-Adapter {adapter} sees with; say with "
            "image_encoder where the folder or file of the CLIP is that it was trained with"
        )
    return path


def weights_place(place: Path) -> Path:
    """The file of the weights at such a place.

    Raises:
      FileNotFoundError: there is none, or none in the folder.
    """
    if place.is_file():
        return place
    if (name := choose({path.name for path in place.glob("*")})) is None:
        raise FileNotFoundError(f"{place} has no file of weights, such as model.safetensors")
    return place / name


def open_image_encoder(place: Path) -> tuple[VisionConfig, FlatTree]:
    """The numbers and parameters of a CLIP's vision tower, of which none is read yet.

    Args:
      place: a folder of transformers' `CLIPVisionModelWithProjection` or `CLIPModel`; or a file of
        its weights, with config.json beside it, or of a CLIP whose numbers are known.

    Raises:
      ValueError: one line that says what is wrong with it.
    """
    settings = (place if place.is_dir() else place.parent) / "config.json"
    tensors = open_folder(place) if place.is_dir() else open_weights(place)[0]
    if _PATCHES not in PARTS[PROJECTED_VISION].modern(tensors):
        raise ValueError(
            f"{place} is {kind_of(tensors)}, and not the vision tower of a CLIP in transformers' "
            f"names, which has {_PATCHES}"
        )
    if place.is_dir() or settings.is_file():
        own = tower(read_json(settings), "vision_config", str(settings))
        config = PARTS[PROJECTED_VISION].config(own, where=str(settings))
    else:
        config = _config_of(PARTS[PROJECTED_VISION].modern(tensors), place)
    return config, PARTS[PROJECTED_VISION].fill(config, tensors, str(place))


def _config_of(tensors: FlatTree, place: Path) -> VisionConfig:
    """The numbers of a tower without config.json.

    Raises:
      ValueError: it is none of those that are known.
    """
    width = FileShapes(tensors, _PREFIX).size("embeddings.patch_embedding.weight", 0)
    if width not in _TOWERS:
        known = ", ".join(map(str, _TOWERS))
        raise ValueError(
            f"{place} is a vision tower of width {width}, and its shapes do not tell its heads; "
            f"known are {known}; put its config.json beside it"
        )
    return vision_of_shapes(tensors, *_TOWERS[width])


def vision_of_shapes(
    tensors: FlatTree, heads: int, activation: Literal["quick_gelu", "gelu"]
) -> VisionConfig:
    """The numbers of a tower in transformers' names, with those that its shapes do not tell.

    Raises:
      ValueError: a tensor is missing, or there is no such tower.
    """
    shapes = FileShapes(tensors, _PREFIX)
    patch = shapes.size("embeddings.patch_embedding.weight", 2)
    places = shapes.size("embeddings.position_embedding.weight", 0)
    return VisionConfig(
        width=shapes.size("embeddings.patch_embedding.weight", 0),
        layers=shapes.count("encoder.layers."),
        heads=heads,
        mlp_width=shapes.size("encoder.layers.0.mlp.fc1.weight", 0),
        activation=activation,
        image_size=round((places - 1) ** 0.5) * patch,
        patch_size=patch,
        projection_dim=FileShapes(tensors, "").size("visual_projection.weight", 0),
    )
