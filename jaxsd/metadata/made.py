"""What is said about a picture, under the same names whatever program wrote it."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxsd.text_files import table_of


class Made(NamedTuple):
    """What made a picture.

    Attributes:
      program: its name, with a version where one is stated.
      prompt: None where it cannot be told.
      negative_prompt: likewise.
      settings: webui's names where it has one for them ("Steps", "CFG scale"), else the program's.
    """

    program: str
    prompt: str | None = None
    negative_prompt: str | None = None
    settings: Mapping[str, str] = {}


_NAMES = {
    "Steps": "steps num_inference_steps",
    "Sampler": "sampler sampler_name",
    "Schedule type": "scheduler schedule",
    "CFG scale": "cfg cfg_scale cfgscale guidance_scale",
    "Seed": "seed noise_seed",
    "Model": "model base_model base_model_name ckpt_name unet_name model_weights",
    "Model hash": "model_hash base_model_hash",
    "Denoising strength": "denoise strength",
    "Clip skip": "clip_skip",
}
"""webui's name -> those of other programs."""
_OURS = {theirs: ours for ours, names in _NAMES.items() for theirs in names.split()}


def settings_of(table: Mapping[str, Any], **renamed: str) -> dict[str, str]:
    """The settings in a program's table, as texts under webui's names; empty ones are left out.

    Args:
      renamed: a key of the table -> its name, where that is not the usual one.
    """
    names = _OURS | renamed
    settings = {
        names.get(key, key): _text(value)
        for key, value in table.items()
        if value not in (None, "", [], {})
    }
    if "width" in settings and "height" in settings:
        settings["Size"] = f"{settings.pop('width')}x{settings.pop('height')}"
    return settings


def table_in(texts: Mapping[str, str], name: str) -> dict[str, Any]:
    """The JSON table that is a text of a picture; empty where it is none."""
    text = texts.get(name, "").strip(" \r\n\t\0")
    if not text.startswith("{"):
        return {}
    try:
        return table_of(text, name, finite=False)
    except ValueError:
        return {}


def _text(value: object) -> str:
    if isinstance(value, dict):  # a model, in tables of InvokeAI
        value = value.get("model_name") or value.get("name") or value
    if isinstance(value, float):
        return f"{value:.15g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
