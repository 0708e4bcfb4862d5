"""Reading a diffusers folder: model_index.json and a folder for each part."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxsd.config import Layout, ModelSpec, TextConfig
from jaxsd.convert.config_fields import read_json
from jaxsd.convert.diffusers_names import (
    modern_text,
    modern_vae,
    text_slots,
    unet_slots,
    vae_slots,
)
from jaxsd.convert.parameters import Shapes, parameters
from jaxsd.convert.schedule_settings import schedule_config
from jaxsd.convert.slots import Slot, fill
from jaxsd.convert.stored_model import StoredModel, family_name, layout_of
from jaxsd.convert.tensors import FlatTree
from jaxsd.convert.text_settings import text_config
from jaxsd.convert.unet_settings import unet_config
from jaxsd.convert.vae_settings import vae_config
from jaxsd.convert.weight_files import open_folder
from jaxsd.text import Tokenizer, read_tokenizer
from jaxsd.types import Prediction

_TASKS = ("", "Img2Img", "Inpaint")
_XL = tuple(f"StableDiffusionXL{task}Pipeline" for task in _TASKS)
_PIPELINES = (
    *(f"StableDiffusion{task}Pipeline" for task in _TASKS),
    "LatentConsistencyModelPipeline",
    "LatentConsistencyModelImg2ImgPipeline",
    *_XL,
)
"""Pipelines of diffusers that are the three networks and nothing else."""


def part_slots(part: str, shapes: Shapes, layout: Layout) -> list[Slot]:
    """Slots of one part's file in a diffusers folder."""
    if part == "unet":
        return unet_slots(shapes, layout)
    return vae_slots(shapes) if part == "vae" else text_slots(shapes)


def part_folder(part: str, spec: ModelSpec) -> str:
    """Name of the folder of a part. The refiner's only text encoder is `text_encoder_2`."""
    if not part.startswith("text_"):
        return part
    second = part == "text_1" or spec.layout.single_file == "refiner"
    return "text_encoder_2" if second else "text_encoder"


def open_diffusers(
    folder: Path, ema: bool | None = None, prediction: Prediction | None = None
) -> StoredModel:
    """Open a diffusers folder.

    `ema` says which of two sets of U-Net weights to read, where the folder has both: the average
    (`None` and `True`), or what was trained (`False`). `prediction` overrules what it says.

    Raises:
      ValueError: if a part is missing, damaged, or not something that networks here can be.
    """
    index = read_json(folder / "model_index.json")
    pipeline = str(index.get("_class_name"))
    if pipeline not in _PIPELINES:
        raise ValueError(
            f"{folder} is a {pipeline}, which is not read here; what is: {', '.join(_PIPELINES)}"
        )
    names = [name for name in ("text_encoder", "text_encoder_2") if _present(index, name)]
    texts, tokenizers = zip(*(_text(folder, name, pipeline) for name in names), strict=True)
    unet_json = read_json(folder / "unet" / "config.json")
    unet = unet_config(
        unet_json, pooled_dim=texts[-1].projection_dim, where=str(folder / "unet" / "config.json")
    )
    where = folder / "vae" / "config.json"
    vae = vae_config(read_json(where), str(where)) if _present(index, "vae") else None
    where = folder / "scheduler" / "scheduler_config.json"
    scheduler = read_json(where)
    schedule, stated = schedule_config(scheduler, str(where))
    prediction = prediction or stated
    linear = bool(unet_json.get("use_linear_projection", False))
    downscale = vae.downscale if vae else 1
    spec = ModelSpec(
        family=family_name(unet, prediction),
        unet=unet,
        vae=vae,
        text=tuple(texts),
        schedule=schedule,
        prediction=prediction,
        layout=layout_of(unet, texts, linear=linear),
        default_size=_sample_size(unet_json, 128 if unet.added else 64) * downscale,
    )
    tensors = {
        part: _fill(folder, part, spec, shapes, ema) for part, shapes in parameters(spec).items()
    }
    return StoredModel(
        spec=spec,
        tensors=tensors,
        stored_tokenizers=tuple(tokenizers),
        scheduler=str(scheduler.get("_class_name", "")),
        files="diffusers folder",
    )


def _present(index: dict[str, Any], name: str) -> bool:
    entry = index.get(name)
    return isinstance(entry, list) and bool(entry) and entry[0] is not None


def _sample_size(config: dict[str, Any], default: int) -> int:
    size = config.get("sample_size") or default
    return int(max(size) if isinstance(size, list) else size)


def _text(folder: Path, name: str, pipeline: str) -> tuple[TextConfig, Tokenizer]:
    """A text encoder's numbers and tokenizer, which says what pads a prompt."""
    where = folder / name / "config.json"
    hidden_layer = -2 if pipeline in _XL else -1
    config = text_config(read_json(where), hidden_layer=hidden_layer, where=str(where))
    tokenizer = read_tokenizer(folder / name.replace("text_encoder", "tokenizer"), config)
    return replace(config, pad_token=tokenizer.pad_token), tokenizer


def _fill(folder: Path, part: str, spec: ModelSpec, shapes: Shapes, ema: bool | None) -> FlatTree:
    name = part_folder(part, spec)
    if part == "unet":
        name, non_ema = _unet_weights(folder, ema)
        tensors = open_folder(folder / name, non_ema)
    else:
        modern = modern_vae if part == "vae" else modern_text
        tensors = modern(open_folder(folder / name))
    return fill(part_slots(part, shapes, spec.layout), shapes, tensors, str(folder / name))


def _unet_weights(folder: Path, ema: bool | None) -> tuple[str, bool]:
    """The folder of the U-Net weights wanted, and whether it is its `non_ema` files."""
    averaged = (folder / "unet_ema").is_dir()
    both = averaged or any((folder / "unet").glob("*.non_ema*"))
    if ema is not None and not both:
        raise ValueError(
            f"{folder} has one set of U-Net weights, not an average beside them; leave out "
            f"{'--ema' if ema else '--no-ema'}"
        )
    if ema is False:
        return "unet", True
    return ("unet_ema" if averaged else "unet"), False
