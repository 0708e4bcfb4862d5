"""Reading a diffusers folder: model_index.json and a folder for each part."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxsd.config import Layout, ModelSpec, ScheduleConfig, TextConfig
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
from jaxsd.convert.text_settings import PROJECTED, text_config
from jaxsd.convert.unet_settings import unet_config
from jaxsd.convert.vae_settings import vae_config
from jaxsd.convert.weight_files import open_folder
from jaxsd.families import FAMILIES
from jaxsd.text import Tokenizer, read_tokenizer
from jaxsd.types import Prediction

_SCHEDULER = Path("scheduler", "scheduler_config.json")
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
        return unet_slots(shapes, linear=layout.linear_projection)
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
    if index.get("_class_name") not in _PIPELINES:
        known = ", ".join(_PIPELINES)
        raise ValueError(f"{folder} is a {index.get('_class_name')}, which is not one of {known}")
    texts, tokenizers = _texts(folder, index)
    scheduler = read_json(folder / _SCHEDULER)
    schedule, stated = schedule_config(scheduler, str(folder / _SCHEDULER))
    spec = replace(_spec(folder, index, texts, prediction or stated), schedule=schedule)
    tensors = {
        part: _fill(folder, part, spec, shapes, ema) for part, shapes in parameters(spec).items()
    }
    return StoredModel(
        spec=spec,
        tensors=tensors,
        stored_tokenizers=tokenizers,
        scheduler=str(scheduler.get("_class_name", "")),
        files="diffusers folder",
    )


def _spec(
    folder: Path, index: dict[str, Any], texts: tuple[TextConfig, ...], prediction: Prediction
) -> ModelSpec:
    """The spec of a folder but for its noise schedule."""
    where = folder / "unet" / "config.json"
    settings = read_json(where)
    unet = unet_config(settings, pooled_dim=texts[-1].projection_dim, where=str(where))
    where = folder / "vae" / "config.json"
    vae = vae_config(read_json(where), str(where)) if _present(index, "vae") else None
    linear = bool(settings.get("use_linear_projection", False))
    family = family_name(unet, prediction)
    known = FAMILIES.get(family)
    zeros = index["_class_name"] in _XL and index.get("force_zeros_for_empty_prompt", True)
    size = _sample_size(settings, default=128 if unet.added else 64)
    return ModelSpec(
        family=family,
        unet=unet,
        vae=vae,
        text=texts,
        schedule=ScheduleConfig(),
        prediction=prediction,
        layout=layout_of(unet, texts, linear=linear),
        default_size=size * (vae.downscale if vae else 1),
        guidance_scale=known.guidance_scale if known else ModelSpec.guidance_scale,
        zero_empty_negative=bool(zeros),
    )


def _present(index: dict[str, Any], name: str) -> bool:
    entry = index.get(name)
    return isinstance(entry, list) and bool(entry) and entry[0] is not None


def _sample_size(config: dict[str, Any], *, default: int) -> int:
    size = config.get("sample_size") or default
    return int(max(size) if isinstance(size, list) else size)


def _texts(
    folder: Path, index: dict[str, Any]
) -> tuple[tuple[TextConfig, ...], tuple[Tokenizer, ...]]:
    """The text encoders' numbers and tokenizers, which say what pads a prompt."""
    configs, tokenizers = [], []
    for name in ("text_encoder", "text_encoder_2"):
        if not _present(index, name):
            continue
        where = folder / name / "config.json"
        config = text_config(
            read_json(where),
            projected=index[name][-1] == PROJECTED,
            hidden_layer=-2 if index["_class_name"] in _XL else -1,
            where=str(where),
        )
        tokenizer = read_tokenizer(folder / name.replace("text_encoder", "tokenizer"), config)
        configs.append(replace(config, pad_token=tokenizer.pad_token))
        tokenizers.append(tokenizer)
    if not configs:
        raise ValueError(f"{folder}: model_index.json has no text_encoder")
    return tuple(configs), tuple(tokenizers)


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
