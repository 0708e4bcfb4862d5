"""Checks of settings for any model: types and ranges."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxsd.settings.adapters import ENDINGS
from jaxsd.settings.controls import UNION_KINDS
from jaxsd.settings.options import OPTIONS, UPSCALERS, Settings
from jaxsd.settings.values import option_value
from jaxsd.typed import is_whole

MOST_IMAGES = 2**20
"""Of one call: each takes a kilobyte before it is drawn."""
LARGEST_WEIGHT = 1000
"""Of a ControlNet, an IP-Adapter or a LoRA, either way."""


def image_count(name: str, per_prompt: Any, prompts: int) -> int:
    """How many images a call asks for.

    Raises:
      ValueError: `per_prompt` is no whole number of at least 1, or there are too many.
    """
    if not is_whole(per_prompt) or per_prompt < 1:
        raise ValueError(f"{name} {per_prompt!r} is not a whole number of at least 1")
    if (count := int(per_prompt) * prompts) > MOST_IMAGES:
        raise ValueError(
            f"{name} {per_prompt} for {prompts} prompt{'s' * (prompts > 1)} is {count} images; at "
            f"most {MOST_IMAGES} are possible in a call: make several, or take jaxsd bulk"
        )
    return count


def in_range(settings: Settings) -> Settings:
    """The settings with every value of its type and in its range, for any model.

    Raises:
      ValueError: one line, for a value of another type or out of range.
    """
    said = {
        name: option_value(name, value)
        for name, one in OPTIONS.items()
        if (value := getattr(settings, name)) is not one.default
    }
    for name, value in said.items():
        _check_range(name, value, OPTIONS[name].metadata)
    if any(value is not getattr(settings, name) for name, value in said.items()):
        settings = replace(settings, **said)
    for one in (*settings.control, *settings.ip_adapter):
        if not one.model:
            raise ValueError(f"{one.OPTION} {str(one)!r} names no model, as in IMAGE:MODEL")
        if not abs(one.weight) <= LARGEST_WEIGHT:
            allowed = f"{-LARGEST_WEIGHT} to {LARGEST_WEIGHT}"
            raise ValueError(
                f"{one.OPTION} WEIGHT {one.weight} is out of range; allowed is {allowed}"
            )
        if one.kind and one.kind not in UNION_KINDS:
            raise ValueError(
                f"{one.OPTION} {str(one)!r}: kind {one.kind!r} is none of {', '.join(UNION_KINDS)}"
            )
        _check_interval(f"{one.OPTION} FROM and TO", (one.first, one.last))
    for one in settings.ip_adapter:
        for block, weight in one.by_block.items():
            if not abs(weight) <= LARGEST_WEIGHT:
                allowed = f"{-LARGEST_WEIGHT} to {LARGEST_WEIGHT}"
                raise ValueError(
                    f"ip_adapter {block}={weight:g} is out of range; allowed is {allowed}"
                )
    if (masks := len(settings.ip_adapter_mask)) > (count := len(settings.ip_adapter)):
        raise ValueError(
            f"ip_adapter_mask has {masks} pictures, and ip_adapter {count}; give one for each"
        )
    _check_interval("guidance_interval", settings.guidance_interval)
    _check_place(settings)
    _check_upscaler(settings.hires_upscaler)
    if any(settings.seed_resize) and not all(settings.seed_resize):
        raise ValueError(f"seed_resize {settings.seed_resize} has a 0; give a width and a height")
    if settings.noise != "jax":
        for name in ("hires", "refiner", "variation_strength", "seed_resize"):
            if getattr(settings, name) != OPTIONS[name].default:
                raise ValueError(f"{name} needs noise jax, and noise is {settings.noise!r}")
    return settings


def _check_range(name: str, value: Any, said: Mapping[str, Any]) -> None:
    low, high, words, metavar = (said[key] for key in ("low", "high", "words", "metavar"))
    if words and value not in words:
        raise ValueError(f"{name} {value!r} is not one of {', '.join(words)}")
    if isinstance(metavar, tuple) and len(value) != len(metavar):
        raise ValueError(f"{name} {value} is not {' '.join(metavar)}")
    if low is None or value is None:
        return
    for number in value if isinstance(value, tuple) else (value,):
        if number < low or (high is not None and number > high):
            allowed = f"at least {low}" if high is None else f"{low} to {high}"
            raise ValueError(f"{name} {number} is out of range; allowed is {allowed}")


def _check_interval(name: str, interval: tuple[float, ...]) -> None:
    first, last = interval
    if not 0 <= first <= last <= 1:
        raise ValueError(f"{name} {interval} is not (FROM, TO) with 0 <= FROM <= TO <= 1")


def _check_place(settings: Settings) -> None:
    place, images = settings.batch_place
    if place >= images:
        raise ValueError(f"batch_place {place} {images} is not INDEX OF with INDEX below OF")
    if images > 1 and settings.noise == "jax":
        raise ValueError(
            f"batch_place {place} {images} is for noise torch or cuda: with noise jax an image "
            "depends on its own seed alone"
        )


def _check_upscaler(name: str) -> None:
    if name not in UPSCALERS and Path(name).suffix.lower() not in ENDINGS:
        raise ValueError(
            f"hires_upscaler {name!r} is not one of {', '.join(UPSCALERS)}, nor a file that ends "
            f"with {', '.join(ENDINGS)}"
        )
