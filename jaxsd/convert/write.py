"""Writing a model as a diffusers folder or a single file: beside its place first, then renamed."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxsd.config import ModelSpec
from jaxsd.convert.folder import part_folder, part_slots
from jaxsd.convert.parameters import parameters
from jaxsd.convert.safetensors_file import write_safetensors
from jaxsd.convert.schedule_settings import scheduler_settings
from jaxsd.convert.single_file import single_file_tensors
from jaxsd.convert.slots import lay_out
from jaxsd.convert.stored_model import StoredModel
from jaxsd.convert.text_settings import text_settings
from jaxsd.convert.unet_settings import unet_settings
from jaxsd.convert.vae_settings import vae_settings
from jaxsd.text import write_tokenizer

Progress = Callable[[int], None]
"""Is told how many bytes were written since it was last called."""

_MARKS = ("model_index.json", "diffusion_pytorch_model.safetensors")
"""What a folder that is a model, or a ControlNet, has one of."""
_INPAINTING_CHANNELS = 9
_DIFFUSERS = "0.42.1"
"""The release whose configs are written; loading an inpainting model fails without one."""


def save_diffusers(
    folder: Path, model: StoredModel, *, overwrite: bool, progress: Progress
) -> None:
    """Write a model as a diffusers folder, one tensor at a time.

    Raises:
      ValueError: if the parameters are not those of the spec, or diffusers has no such model.
      FileExistsError: if the folder exists and is not a model that may be overwritten.
    """
    spec = model.spec
    files = {
        part: lay_out(
            part_slots(part, shapes, spec.layout), shapes, model.tensors[part], f"the {part} tree"
        )
        for part, shapes in parameters(spec).items()
    }
    settings = {part: _settings(part, spec) for part in files}
    tokenizers = model.tokenizers
    with new_folder(folder, overwrite) as beside:
        for part, tensors in files.items():
            name = part_folder(part, spec)
            write_json(beside / name / "config.json", settings[part])
            stem = "model" if part.startswith("text_") else "diffusion_pytorch_model"
            write_safetensors(
                beside / name / f"{stem}.safetensors",
                tensors,
                {"format": "pt"},
                progress,
            )
        for k, tokenizer in enumerate(tokenizers):
            name = part_folder(f"text_{k}", spec).replace("text_encoder", "tokenizer")
            write_tokenizer(beside / name, tokenizer)
        write_json(beside / "scheduler" / "scheduler_config.json", scheduler_settings(spec))
        write_json(beside / "model_index.json", model_index(spec))


def save_single_file(
    path: Path, model: StoredModel, *, overwrite: bool, progress: Progress
) -> None:
    """Write a model as a single .safetensors file, one tensor at a time.

    Raises:
      ValueError: if the parameters are not those of the spec.
      FileExistsError: if the file exists and may not be overwritten.
    """
    check_free(path, overwrite)
    tensors, metadata = single_file_tensors(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(path, tensors, metadata, progress)


def _settings(part: str, spec: ModelSpec) -> dict[str, Any]:
    """config.json of a part."""
    if part == "unet":
        return unet_settings(
            spec.unet,
            linear_projection=spec.layout.linear_projection,
            sample_size=spec.default_size // (spec.vae.downscale if spec.vae else 1),
            # SD 2.1's 768 pixel model overflows in half precision without it.
            upcast_attention=spec.layout.single_file == "v2" and spec.prediction == "v",
        )
    if part == "vae":
        return vae_settings(spec.vae, spec.default_size)
    return text_settings(spec.text[int(part.removeprefix("text_"))])


def model_index(spec: ModelSpec) -> dict[str, Any]:
    """model_index.json: the pipeline's class and the class of each of its parts."""
    xl = spec.unet.added is not None
    inpainting = spec.unet.in_channels == _INPAINTING_CHANNELS
    refiner = spec.layout.single_file == "refiner"
    task = "Inpaint" if inpainting else "Img2Img" if refiner else ""
    index: dict[str, Any] = {
        "_class_name": f"StableDiffusion{'XL' if xl else ''}{task}Pipeline",
        "_diffusers_version": _DIFFUSERS,
        "scheduler": ["diffusers", scheduler_settings(spec)["_class_name"]],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"] if spec.vae else [None, None],
        "feature_extractor": [None, None],
    }
    if xl:
        index |= {"text_encoder": [None, None], "tokenizer": [None, None]}
        index |= {"force_zeros_for_empty_prompt": spec.zero_empty_negative}
        if task:
            index |= {"requires_aesthetics_score": refiner}
    else:
        index |= {"safety_checker": [None, None], "requires_safety_checker": False}
    for k in range(len(spec.text)):
        name = part_folder(f"text_{k}", spec)
        index[name] = ["transformers", _settings(f"text_{k}", spec)["architectures"][0]]
        index[name.replace("text_encoder", "tokenizer")] = ["transformers", "CLIPTokenizer"]
    return index


def write_json(path: Path, table: dict[str, Any]) -> None:
    """Write a table of settings, in a folder that is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def check_free(place: Path, overwrite: bool) -> None:
    """Refuse to write over what is there already.

    A folder may be overwritten only if it is a model, so that a wrong name costs nothing else.

    Raises:
      FileExistsError: if something is there, and may not be overwritten or is not of that sort.
    """
    single = place.suffix == ".safetensors"
    if not place.exists() or (
        place.is_dir() and next(place.iterdir(), None) is None and not single
    ):
        return
    if not overwrite:
        raise FileExistsError(f"{place} exists; choose another place, or overwrite it with --force")
    marked = any((place / name).is_file() for name in _MARKS)
    if not (place.is_file() if single else marked):
        raise FileExistsError(f"{place} exists and is not a model; choose another place")


@contextmanager
def new_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A folder to fill beside `folder`, which takes its place when all went well.

    Raises:
      FileExistsError: if `folder` exists and may not be overwritten.
    """
    check_free(folder, overwrite)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    beside.mkdir(parents=True)
    try:
        yield beside
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
