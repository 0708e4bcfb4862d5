"""What a run exports, by format."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsd.adapters.lora import Lora
from jaxsd.adapters.lora_writing import write_lora_kohya, write_lora_peft
from jaxsd.config import ModelSpec
from jaxsd.convert import write_diffusers, write_single_file
from jaxsd.text import Tokenizer
from jaxsd.types import Params

Export = Callable[[Path, Params], None]
"""Writes what was trained to a new place, or overwrites an export of the same format."""


FOLDERS = ("diffusers", "orbax")
"""Formats that are a folder; the others are a file."""


def place_of(place: Path, form: str) -> Path:
    """Adds the ending of the format to a place."""
    return place if form in FOLDERS else place.with_name(f"{place.name}.safetensors")


class Model(NamedTuple):
    """A whole model, as `jaxsd.pipeline.Pipeline` takes it."""

    spec: ModelSpec
    params: Params
    tokenizers: tuple[Tokenizer, ...]


def model_exports(model: Callable[[Any], Model]) -> dict[str, Export]:
    """A whole model as a diffusers folder, or as one file for webui and ComfyUI."""

    def diffusers(place: Path, trained: Params) -> None:
        spec, params, tokenizers = model(trained)
        write_diffusers(place, spec, params, tokenizers=tokenizers, overwrite=True)

    def single_file(place: Path, trained: Params) -> None:
        spec, params, _ = model(trained)
        write_single_file(place, spec, params, overwrite=True)

    return {"diffusers": diffusers, "single-file": single_file}


def lora_exports(spec: ModelSpec, alpha: float) -> dict[str, Export]:
    """Low-rank factors as diffusers and PEFT, or as webui and ComfyUI (kohya), name them."""

    def factors(trained: Params) -> Lora:
        lora: Lora = {}
        for path, value in trained.items():
            kernel, name = path.removeprefix("lora/").rsplit("/", 1)
            lora.setdefault(kernel, {"alpha": np.float32(alpha)})[name] = value
        return lora

    return {
        "lora-peft": lambda place, trained: write_lora_peft(place, factors(trained), spec),
        "lora-kohya": lambda place, trained: write_lora_kohya(place, factors(trained), spec),
    }
