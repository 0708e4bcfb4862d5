"""The converter's main functions: a model is read from a source, or written."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import get_args

from jaxsd.config import ModelSpec
from jaxsd.convert.diffusers.folder import open_diffusers
from jaxsd.convert.diffusers.maxdiffusion import last_step
from jaxsd.convert.diffusers.write import save_diffusers
from jaxsd.convert.files.hub import download, is_hub_id
from jaxsd.convert.files.safetensors_file import silent
from jaxsd.convert.files.tensors import dtype_named
from jaxsd.convert.original.single_file import open_single_file, save_single_file
from jaxsd.convert.stored_model import StoredModel, parts_of
from jaxsd.distilled import PRESETS, preset_named
from jaxsd.text import Tokenizer
from jaxsd.types import Params, Prediction

BUILT_IN = ("emoji",)
"""Models inside the package, by name."""
_BY_SCHEDULER = {"LCMScheduler": PRESETS["lcm"], "TCDScheduler": PRESETS["tcd"]}
"""Schedulers that only distilled models are drawn with."""


def open_model(
    source: str | Path,
    *,
    ema: bool | None = None,
    prediction: str | None = None,
    strict: bool = True,
) -> StoredModel:
    """Open a model without reading its weights.

    Args:
      source: a built-in name ("emoji"), a diffusers folder, a single file (.safetensors, .ckpt,
        .gguf), a folder of MaxDiffusion's checkpoints or one of its steps, or the id of a
        repository on the Hugging Face hub ("owner/name").
      ema: which U-Net weights to take where there are two sets: the average of training (`True`,
        and `None`) or the last (`False`).
      prediction: "epsilon", "v" or "sample", for files that do not say it, or say it wrongly.
      strict: whether tensors of a part that the model does not have are an error; `False` leaves
        them aside.

    Raises:
      ValueError: one line that says what is wrong with the source.
      FileNotFoundError: if there is no such file or folder.
    """
    if prediction is not None and prediction not in get_args(Prediction):
        allowed = ", ".join(get_args(Prediction))
        raise ValueError(f"prediction {prediction!r} is not one of {allowed}")
    path = Path(str(files("jaxsd") / "assets" / source)) if source in BUILT_IN else Path(source)
    if path.is_file():
        return _with_preset(open_single_file(path, ema, prediction, strict=strict), source)
    if not path.is_dir():
        if not is_hub_id(str(source)):
            raise FileNotFoundError(f"no model at {source}: no such file or folder")
        path = download(str(source))
    model = open_diffusers(last_step(path), ema, prediction, strict=strict)
    return _with_preset(model, source)


def _with_preset(model: StoredModel, source: str | Path) -> StoredModel:
    """The model with the settings that suit it, as far as its files or their name tell them."""
    spec = model.spec
    preset = preset_named(str(source)) or _BY_SCHEDULER.get(model.scheduler)
    if preset is None:
        return model
    size = preset.size or spec.default_size
    return replace(model, spec=replace(spec, preset=preset, default_size=size))


def read(
    source: str | Path,
    *,
    dtype: str | None = "float32",
    ema: bool | None = None,
    prediction: str | None = None,
    strict: bool = True,
) -> tuple[ModelSpec, Params]:
    """A model's spec and its parameters as NumPy arrays, one tensor at a time.

    `source`, `ema`, `prediction` and `strict` are as in `open_model`; `dtype` is "float32",
    "float16" or "bfloat16", and `None` keeps what is stored.

    Returns:
      The spec and `{"unet": tree, "vae": tree, "text": [tree, ...]}`.
    """
    model = open_model(source, ema=ema, prediction=prediction, strict=strict)
    return model.spec, model.params(dtype and dtype_named(dtype))


def _in_memory(
    spec: ModelSpec, params: Params, tokenizers: Sequence[Tokenizer] | None = None
) -> StoredModel:
    return StoredModel(
        spec=spec,
        tensors=parts_of(params),
        stored_tokenizers=None if tokenizers is None else tuple(tokenizers),
    )


def write_diffusers(
    folder: str | Path,
    spec: ModelSpec,
    params: Params,
    *,
    tokenizers: Sequence[Tokenizer] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a model as a folder that diffusers loads. dtypes stay as they are.

    `params` is `{"unet": tree, "vae": tree, "text": [tree, ...]}` of NumPy or JAX arrays;
    `tokenizers` are one per text encoder, and `None` stands for CLIP's own.

    Raises:
      ValueError: if the parameters are not those of the spec, diffusers has no such model, or the
        vocabulary is not CLIP's and there are no tokenizers.
      FileExistsError: if the folder exists and may not be overwritten.
    """
    model = _in_memory(spec, params, tokenizers)
    save_diffusers(Path(folder), model, overwrite=overwrite, progress=silent)


def write_single_file(
    path: str | Path, spec: ModelSpec, params: Params, *, overwrite: bool = False
) -> None:
    """Write a model as one .safetensors file with the names of the original code.

    That is what webui and ComfyUI load. dtypes stay as they are; `params` is as in
    `write_diffusers`. A single file has no room for a tokenizer.

    Raises:
      ValueError: if the parameters are not those of the spec.
      FileExistsError: if the file exists and may not be overwritten.
    """
    model = _in_memory(spec, params)
    save_single_file(Path(path), model, overwrite=overwrite, progress=silent)
