"""Whole CLIP models, text encoder and vision tower, out of transformers' files."""

from pathlib import Path
from typing import Any, NamedTuple

from jaxsd.config import TextConfig, VisionConfig
from jaxsd.convert.config_fields import number, read_json, require
from jaxsd.convert.diffusers_names import modern_text, text_slots, torch_name, without
from jaxsd.convert.parameters import Shapes, text_parameters, vision_parameters
from jaxsd.convert.slots import Slot, fill, leaf_kind
from jaxsd.convert.tensors import DTYPES, FlatTree, cast, load
from jaxsd.convert.text_settings import ACTIVATIONS, text_config
from jaxsd.convert.weight_files import open_folder, open_weights
from jaxsd.text import Tokenizer, clip_tokenizer, read_tokenizer
from jaxsd.types import Params

MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Of red, green and blue, 0 to 1, in what CLIP was trained on."""
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Their standard deviations."""

_VISION = ("vision_model.", "visual_projection.")
_NO_PARAMETERS = ("logit_scale", "vision_model.embeddings.position_ids")
_CLASS = "embeddings/class_embedding"
_CLIP_WORDS = 49408


class ClipModel(NamedTuple):
    """A CLIP."""

    text: TextConfig
    vision: VisionConfig
    params: Params  # {"text": tree, "vision": tree}, float32
    tokenizer: Tokenizer


def read_clip(source: str | Path) -> ClipModel:
    """A CLIP as transformers' `CLIPModel` is stored.

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
    tensors = without(tensors, _NO_PARAMETERS)
    seen = {name: tensor for name, tensor in tensors.items() if name.startswith(_VISION)}
    said = modern_text(without(tensors, seen))
    shapes = text_parameters(text), vision_parameters(vision)
    params = {
        "text": _params(fill(text_slots(shapes[0]), shapes[0], said, f"{source} (text)")),
        "vision": _params(fill(vision_slots(shapes[1]), shapes[1], seen, f"{source} (vision)")),
    }
    return ClipModel(text, vision, params, _tokenizer(folder, text))


def clip_configs(settings: dict[str, Any], where: str) -> tuple[TextConfig, VisionConfig]:
    """The numbers in a CLIP's config.json; what is absent is as transformers has it.

    Raises:
      ValueError: naming a setting that the networks here do not have.
    """
    if settings.get("model_type") != "clip":
        raise ValueError(f"{where}: model_type = {settings.get('model_type')!r} is not 'clip'")
    shared = {"projection_dim": number(settings, "projection_dim", where, 512)}
    # Early files have each table twice, and transformers takes the second.
    text, vision = (
        (settings.get(name) or {}) | (settings.get(f"{name}_dict") or {}) | shared
        for name in ("text_config", "vision_config")
    )
    return (
        text_config(text, projected=True, hidden_layer=-1, where=f"{where}, text_config"),
        vision_config(vision, f"{where}, vision_config"),
    )


def vision_config(config: dict[str, Any], where: str) -> VisionConfig:
    """The numbers of a transformers CLIP vision tower.

    Raises:
      ValueError: naming a setting that the tower here does not have.
    """
    wanted = {"model_type": "clip_vision_model", "layer_norm_eps": 1e-5, "num_channels": 3}
    require(config, wanted, where)
    activation = config.get("hidden_act", "quick_gelu")
    if activation not in ACTIVATIONS:
        raise ValueError(f"{where}: hidden_act = {activation!r} is not one of {ACTIVATIONS}")

    def size(name: str, default: int) -> int:
        return number(config, name, where, default)

    return VisionConfig(
        width=size("hidden_size", 768),
        layers=size("num_hidden_layers", 12),
        heads=size("num_attention_heads", 12),
        mlp_width=size("intermediate_size", 3072),
        activation=activation,
        image_size=size("image_size", 224),
        patch_size=size("patch_size", 32),
        projection_dim=size("projection_dim", 512),
    )


def vision_slots(shapes: Shapes) -> list[Slot]:
    """Slots of a vision tower, in a file of a whole CLIP."""

    def name(path: str) -> str:
        if path == _CLASS:
            return "vision_model.embeddings.class_embedding"
        return ("" if path.startswith("visual_projection/") else _VISION[0]) + torch_name(path)

    return [Slot(path, name(path), leaf_kind(path, shapes[path])) for path in shapes]


def _params(tree: FlatTree) -> Params:
    return load({path: cast(tensor, DTYPES["float32"], path) for path, tensor in tree.items()})


def _check_preprocessing(folder: Path) -> None:
    """Refuses a model that wants its pictures in another way than CLIP does."""
    where = folder / "preprocessor_config.json"
    if where.is_file():
        wanted = {"image_mean": list(MEAN), "image_std": list(DEVIATION), "resample": 3}
        require(read_json(where), wanted, str(where))


def _tokenizer(folder: Path, config: TextConfig) -> Tokenizer:
    if any((folder / name).is_file() for name in ("vocab.json", "tokenizer.json")):
        return read_tokenizer(folder, config)
    if config.vocab_size != _CLIP_WORDS:
        raise ValueError(
            f"{folder} has no tokenizer, and its {config.vocab_size} words are not CLIP's own; put "
            "vocab.json and merges.txt beside config.json"
        )
    return clip_tokenizer(config)
