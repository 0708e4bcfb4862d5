"""Reading a diffusers folder: model_index.json and a folder for each part."""

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxsd.config import ModelSpec, ScheduleConfig, SmallConfig
from jaxsd.convert.diffusers.fields import Config, Fields, read_json
from jaxsd.convert.diffusers.maxdiffusion import is_step, padding, read_index, scheduler_file
from jaxsd.convert.diffusers.names import in_torch, torch_class
from jaxsd.convert.diffusers.parts import (
    PROJECTED_TEXT,
    TEXT,
    UNET,
    VAE,
    StoredPart,
    is_linear,
    networks,
    open_part,
)
from jaxsd.convert.diffusers.schedule_settings import check_class, schedule_config
from jaxsd.convert.diffusers.sight import OF_TEXT, UNCLIP, VARIATION, open_sight
from jaxsd.convert.stored_model import (
    StoredModel,
    check_together,
    family_name,
    layout_of,
    usual_guidance,
)
from jaxsd.text import Tokenizer, clip_tokenizer, read_tokenizer
from jaxsd.types import Prediction

_LARGEST_SIZE = 4096
_TASKS = ("", "Img2Img", "Inpaint")
_SD = tuple(f"StableDiffusion{task}Pipeline" for task in _TASKS)
_XL = tuple(f"StableDiffusionXL{task}Pipeline" for task in (*_TASKS, "InstructPix2Pix"))
UPSCALE = "StableDiffusionUpscalePipeline"
_SCALE_OF_UPSCALE = 0.08333
"""What diffusers' pipeline sets, whatever the file of its autoencoder says."""
_PIPELINES = (
    *_SD,
    "LatentConsistencyModelPipeline",
    "LatentConsistencyModelImg2ImgPipeline",
    "StableDiffusionDepth2ImgPipeline",
    "StableDiffusionInstructPix2PixPipeline",
    UPSCALE,
    *_XL,
    UNCLIP,
    OF_TEXT,
    VARIATION,
)
"""Pipelines of diffusers whose networks are known here."""


def part_folder(part: str, spec: ModelSpec) -> str:
    """Name of the folder of a part. The refiner's only text encoder is `text_encoder_2`."""
    if part in ("vision", "normalizer"):
        return {"vision": "image_encoder", "normalizer": "image_normalizer"}[part]
    if not part.startswith("text_"):
        return part
    second = part == "text_1" or spec.layout.single_file == "refiner"
    return "text_encoder_2" if second else "text_encoder"


def open_diffusers(
    folder: Path,
    ema: bool | None = None,
    prediction: Prediction | None = None,
    *,
    strict: bool = True,
) -> StoredModel:
    """Open a diffusers folder, or a step of MaxDiffusion's checkpoints.

    `ema` says which of two sets of U-Net weights to read, where the folder has both: the average
    (`None` and `True`), or what was trained (`False`). `prediction` overrules the folder's.
    `strict` is as in `open_model`.

    Raises:
      ValueError: if a part is missing, damaged, or not supported by the networks here.
    """
    index = in_torch(read_index(folder))
    fields = Fields(index, str(folder / "model_index.json"))
    xl = fields.one_of("_class_name", _PIPELINES, None) in _XL
    _check_classes(fields, index)
    sight, seeing = open_sight(folder, index["_class_name"], strict=strict)
    texts, tokenizers = (), ()
    if index["_class_name"] != VARIATION:
        texts, tokenizers = _texts(folder, index, hidden_layer=-2 if xl else -1, strict=strict)
    zeros = fields.switch("force_zeros_for_empty_prompt", default=True)
    where = scheduler_file(folder)
    scheduler = read_json(where)
    if _present(index, "scheduler"):  # diffusers builds this class, whatever the other file says
        built = index["scheduler"][-1]
        check_class(built, str(folder / "model_index.json"))
        check_class(torch_class(scheduler.get("_class_name", built)), str(where))
        scheduler["_class_name"] = built
    schedule, stated = schedule_config(in_torch(scheduler), str(where))
    if index["_class_name"] in _SD:
        schedule = _with_offset(schedule, scheduler, str(where))
    prediction = prediction or stated
    weights, non_ema = _unet_weights(folder, ema)
    unet = open_part(
        UNET,
        folder / "unet",
        weights=folder / weights,
        non_ema=non_ema,
        strict=strict,
        pooled_dim=texts[-1].config.projection_dim if texts else None,
    )
    vae = open_part(VAE, folder / "vae", strict=strict) if _present(index, "vae") else None
    if vae and not xl:  # only XL's pipelines look at this setting
        vae = vae._replace(config=replace(vae.config, force_upcast=False))
    small = None
    if index["_class_name"] == UPSCALE:
        small = _small(folder, fields)
        vae = vae and vae._replace(config=replace(vae.config, scaling_factor=_SCALE_OF_UPSCALE))
    configs = tuple(text.config for text in texts)
    family = family_name(unet.config, prediction, schedule.edm)
    least = 1 if xl or not _is_early(unet.settings) else 64
    size = _sample_size(folder, unet.settings, least, default=128 if unet.config.added else 64)
    spec = fields.build(
        ModelSpec,
        {},
        family=family,
        unet=unet.config,
        vae=vae.config if vae else None,
        text=configs,
        schedule=schedule,
        prediction=prediction,
        layout=layout_of(unet.config, configs, linear=is_linear(unet.settings)),
        default_size=size * (vae.config.downscale if vae else 1),
        guidance_scale=usual_guidance(unet.config, family),
        zero_empty_negative=xl and zeros,
        small=small,
        sight=sight,
    )
    try:
        check_together(spec)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    opened = (unet, *([vae] if vae else ()), *seeing, *texts)
    return StoredModel(
        spec=spec,
        tensors={part: own.tensors for part, own in zip(networks(spec), opened, strict=True)},
        stored_tokenizers=tokenizers,
        scheduler=str(scheduler.get("_class_name", "")),
        files="MaxDiffusion checkpoint" if is_step(folder) else "diffusers folder",
    )


def _small(folder: Path, fields: Fields) -> SmallConfig:
    """The noise of small pictures."""
    where = folder / "low_res_scheduler" / "scheduler_config.json"
    schedule, _ = schedule_config(read_json(where), str(where))
    most = fields.number("max_noise_level", default=SmallConfig.most)
    return fields.build(SmallConfig, {"most": "max_noise_level"}, schedule=schedule, most=most)


def _with_offset(schedule: ScheduleConfig, config: Config, where: str) -> ScheduleConfig:
    """The schedule with the offset that Stable Diffusion was made for, whatever the file says.

    diffusers' pipelines of SD 1 and 2 set it too; those of XL and LCM do not.
    """
    if config.get("steps_offset", 1) != 1:
        line = f"{where}: steps_offset = {schedule.steps_offset} is read as 1, as diffusers does"
        warnings.warn(line, stacklevel=2)
    return replace(schedule, steps_offset=1)


def _present(index: dict[str, Any], name: str) -> bool:
    entry = index.get(name)
    return isinstance(entry, list) and bool(entry) and entry[0] is not None


def _check_classes(fields: Fields, index: dict[str, Any]) -> None:
    """Refuses parts of other classes; diffusers builds those of the index.

    Raises:
      ValueError: another class.
    """
    texts = (TEXT, PROJECTED_TEXT)
    known = {"unet": (UNET,), "vae": (VAE,), "text_encoder": texts, "text_encoder_2": texts}
    for name, classes in known.items():
        if _present(index, name) and index[name][-1] not in classes:
            only = " or ".join(classes)
            raise fields.wrong(name, index[name], f"is not supported, only the class {only}")


def _is_early(settings: Config) -> bool:
    """Whether a diffusers before 0.9 wrote a config: its sizes are too small, and corrected."""
    version = re.match(r"0\.([0-8])\.", str(settings.get("_diffusers_version", "")))
    return version is not None


def _sample_size(folder: Path, settings: Config, least: int, *, default: int) -> int:
    """Latents along the longer side, at least `least` if one number is stated."""
    fields = Fields(settings, str(folder / "unet" / "config.json"))
    size = fields.get("sample_size")
    if size is None:
        return default
    listed = isinstance(size, list)
    longest = max(fields.numbers("sample_size", [])) if listed else fields.number("sample_size")
    if longest > _LARGEST_SIZE:
        raise fields.wrong("sample_size", size, f"is above {_LARGEST_SIZE}")
    if listed or longest >= least:
        return longest
    warnings.warn(f"{fields.where}: sample_size = {size} is read as {least}", stacklevel=2)
    return least


def _texts(
    folder: Path, index: dict[str, Any], hidden_layer: int, *, strict: bool
) -> tuple[tuple[StoredPart, ...], tuple[Tokenizer, ...]]:
    """The text encoders and their tokenizers, which say what pads a prompt."""
    texts, tokenizers = [], []
    for name in ("text_encoder", "text_encoder_2"):
        if not _present(index, name):
            continue
        kind = PROJECTED_TEXT if index[name][-1] == PROJECTED_TEXT else TEXT
        text = open_part(kind, folder / name, strict=strict, hidden_layer=hidden_layer)
        if is_step(folder):
            tokenizer = clip_tokenizer(replace(text.config, pad_token=padding(text.settings)))
        else:
            words = folder / name.replace("text_encoder", "tokenizer")
            tokenizer = read_tokenizer(words, text.config)
        config = text.config
        texts.append(text._replace(config=replace(config, pad_token=tokenizer.pad_token)))
        tokenizers.append(tokenizer)
    if not texts:
        raise ValueError(f"{folder}: model_index.json has no text_encoder")
    return tuple(texts), tuple(tokenizers)


def _unet_weights(folder: Path, ema: bool | None) -> tuple[str, bool]:
    """The folder of the wanted U-Net weights, and whether to read its `non_ema` files."""
    averaged = (folder / "unet_ema").is_dir()
    both = averaged or any((folder / "unet").glob("*.non_ema*"))
    if ema is not None and not both:
        raise ValueError(
            f"{folder} has one set of U-Net weights, not an average beside them; leave out ema"
        )
    if ema is False:
        return "unet", True
    if averaged and ema is None:
        line = f"{folder}: unet_ema is read, and unet left aside; --no-ema (ema false) reads it"
        warnings.warn(line, stacklevel=2)
    return ("unet_ema" if averaged else "unet"), False
