"""Whole CLIP models, text encoder and vision tower, from transformers' files."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsd.config import TextConfig, VisionConfig
from jaxsd.convert.diffusers.fields import Fields, read_json
from jaxsd.convert.diffusers.parts import PARTS, PROJECTED_TEXT, PROJECTED_VISION
from jaxsd.convert.diffusers.text_settings import tower
from jaxsd.convert.diffusers.vision_settings import DEVIATION, MEAN
from jaxsd.convert.files.tensors import DTYPES, FlatTree, cast, load
from jaxsd.convert.files.weight_files import open_folder, open_weights
from jaxsd.images import clip_resize
from jaxsd.text import Tokenizer, clip_tokenizer, read_tokenizer
from jaxsd.types import Params

_CLIP_WORDS = 49408


class ClipModel(NamedTuple):
    """A CLIP model."""

    text: TextConfig
    vision: VisionConfig
    params: Params  # {"text": tree, "vision": tree}, float32
    tokenizer: Tokenizer


def read_clip(source: str | Path) -> ClipModel:
    """A CLIP model, from files of transformers' `CLIPModel`.

    Args:
      source: a folder with config.json and weights, and its tokenizer unless that is CLIP's own; or
        a file of weights in such a folder, where it has several.

    Raises:
      ValueError: one line that says what is wrong with the source.
      FileNotFoundError: no such file or folder.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"no CLIP at {source}: no such file or folder")
    folder = source if source.is_dir() else source.parent
    text, vision = clip_configs(read_json(folder / "config.json"), str(folder / "config.json"))
    _check_preprocessing(folder)
    tensors = open_folder(source) if source.is_dir() else open_weights(source)[0]
    params = {
        "text": _params(PROJECTED_TEXT, text, tensors, f"{source} (text)"),
        "vision": _params(PROJECTED_VISION, vision, tensors, f"{source} (vision)"),
    }
    return ClipModel(text, vision, params, _tokenizer(folder, text))


def clip_pixels(picture: np.ndarray, side: int) -> np.ndarray:
    """What a vision tower is given of a picture, uint8 [H, W, 3] -> float32 [side, side, 3]."""
    scaled = clip_resize(picture, side) / np.float32(255)
    return (scaled - np.float32(MEAN)) / np.float32(DEVIATION)


def clip_configs(settings: dict[str, Any], where: str) -> tuple[TextConfig, VisionConfig]:
    """The numbers in a CLIP's config.json; absent ones are transformers' defaults.

    Raises:
      ValueError: naming a setting that the networks here do not have.
    """
    if settings.get("model_type") != "clip":
        raise ValueError(f"{where}: model_type = {settings.get('model_type')!r} is not 'clip'")
    shared = {"projection_dim": Fields(settings, where).number("projection_dim", 512)}
    text, vision = (
        tower(settings | shared, name, where) for name in ("text_config", "vision_config")
    )
    said = PARTS[PROJECTED_TEXT].config(text, hidden_layer=-1, where=f"{where}, text_config")
    return said, PARTS[PROJECTED_VISION].config(vision, where=f"{where}, vision_config")


def _params(kind: str, config: Any, tensors: FlatTree, where: str) -> Params:
    tree = PARTS[kind].fill(config, tensors, where)
    return load({path: cast(tensor, DTYPES["float32"], path) for path, tensor in tree.items()})


def _check_preprocessing(folder: Path) -> None:
    """Refuses a model whose pictures are preprocessed in another way than CLIP's."""
    where = folder / "preprocessor_config.json"
    if where.is_file():
        wanted = {"image_mean": list(MEAN), "image_std": list(DEVIATION), "resample": 3}
        Fields(read_json(where), str(where)).require(wanted)


def _tokenizer(folder: Path, config: TextConfig) -> Tokenizer:
    if any((folder / name).is_file() for name in ("vocab.json", "tokenizer.json")):
        return read_tokenizer(folder, config)
    if config.vocab_size != _CLIP_WORDS:
        raise ValueError(
            f"{folder} has no tokenizer, and its {config.vocab_size} words are not CLIP's own; put "
            "vocab.json and merges.txt beside config.json"
        )
    return clip_tokenizer(config)
