"""Turns the arguments of a Python caller into settings and pictures for each image."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxsd.canvases import Pictures
from jaxsd.config import ModelSpec
from jaxsd.pipeline.batches import per_image
from jaxsd.settings import (
    OPTIONS,
    SIZE,
    Settings,
    checked,
    image_count,
    option_value,
    settings_from,
)
from jaxsd.terminal import printable
from jaxsd.types import Array

GIVEN = "given"
"""Stands for a picture's file where the picture itself is given."""


_LISTS = {name for name, one in OPTIONS.items() if isinstance(one.default, tuple)}
"""Options whose value is a list, the same for all images; `Settings` can give each its own."""


class Request(NamedTuple):
    """Requested images, checked."""

    settings: tuple[Settings, ...]  # one per image
    pictures: tuple[Pictures, ...]  # one per image
    latents: Array | None  # [B, h, w, c] float32 noise of unit variance


def request_of(
    spec: ModelSpec,
    prompt: str | Settings | Sequence[str] | Sequence[Settings],
    options: dict[str, Any],
) -> Request:
    """The request in the arguments of `Pipeline.draw`.

    Raises:
      ValueError: in one line, for any argument that does not fit.
    """
    options = dict(options)
    latents = options.pop("latents", None)
    if latents is not None and np.ndim(latents) != 4:
        raise ValueError(f"latents have shape {np.shape(latents)}, give [B, h, w, c]")
    if latents is not None and not options.keys() & {"height", "width", SIZE}:
        height, width = latents.shape[1:3]
        unit = spec.vae.downscale
        options |= {"height": height * unit, "width": width * unit}
    if not isinstance(prompt, str | Settings | Iterable) or isinstance(prompt, Mapping):
        raise ValueError(f"prompt is {prompt!r}, it must be a text, or several")
    each = [prompt] if isinstance(prompt, str | Settings) else list(prompt)
    if not each:
        raise ValueError(f"no images: prompts are {prompt!r}")
    num_images = options.pop("num_images", 1)
    count = image_count("num_images", num_images, len(each))
    each = [one for one in each for _ in range(int(num_images))]
    pictures = pictures_for(options, count)
    columns = {
        name: [value] * count if name in _LISTS else per_image(name, value, count)
        for name, value in options.items()
    }
    strength = options.get("variation_strength", 0.0)
    counted = Settings(variation_strength=strength if np.ndim(strength) == 0 else 0.0).counted
    if np.ndim(options.get(counted, 0)) == 0 and isinstance(each[0], str):
        first = option_value(counted, options.get(counted, 0))
        columns[counted] = [first + i for i in range(count)]
    settings = []
    for i, one in enumerate(each):
        begun = one if isinstance(one, Settings) else Settings(prompt=one)
        own = {name: column[i] for name, column in columns.items()} | named(pictures[i], begun)
        settings.append(checked(settings_from(with_sampler_options(own), begun), spec))
    return Request(tuple(settings), tuple(pictures), latents)


def pictures_for(options: dict[str, Any], count: int) -> list[Pictures]:
    """Takes arrays out of the options, one for all images or one for each."""
    if (given := options.pop("pictures", None)) is not None:
        return [given] * count if isinstance(given, Pictures) else _several("pictures", given)
    images = _arrays(options, "image", 3, count)
    masks = _arrays(options, "mask", 2, count)
    depths = _arrays(options, "depth", 2, count)
    references = _arrays(options, "reference", 3, count)
    seen = [
        tuple(np.asarray(one) for one in _several(name, options.pop(name, ())))
        for name in ("control_images", "ip_adapter_images", "ip_adapter_masks", "region_masks")
    ]
    *seen, where, regions = seen
    each = zip(images, masks, depths, references, strict=True)
    return [
        Pictures(image, mask, *seen, depth, where, regions, reference)
        for image, mask, depth, reference in each
    ]


def _arrays(options: dict[str, Any], name: str, ndim: int, count: int) -> list[np.ndarray | None]:
    """Takes the arrays of an option; a text stays in the options, since it names a file."""
    value = options.get(name)
    if value is None or isinstance(value, str):
        if value is None:
            options.pop(name, None)
        return [None] * count
    options.pop(name)
    several = [value] if np.ndim(value) == ndim else _several(name, value)
    arrays = [np.asarray(one) for one in several]
    if len(arrays) not in (1, count):
        allowed = " or ".join(map(str, sorted({1, count})))
        raise ValueError(f"{name} has {len(arrays)} pictures for {count} images; give {allowed}")
    for array in arrays:
        shape = "[H, W, 3]" if ndim == 3 else "[H, W]"
        if array.ndim != ndim or array.dtype != np.uint8 or (ndim == 3 and array.shape[2] != 3):
            raise ValueError(f"{name} is {array.dtype} {list(array.shape)}, give uint8 {shape}")
    return arrays * count if len(arrays) == 1 else arrays


def _several(name: str, value: Any) -> list[Any]:
    """What a list, or something like it, has.

    Raises:
      ValueError: it is none.
    """
    if isinstance(value, str | Mapping) or not np.iterable(value):
        raise ValueError(f"{name} is {printable(repr(value), 60)}, it must be an array or several")
    return list(value)


def named(pictures: Pictures, settings: Settings) -> dict[str, Any]:
    """A name for each given picture that the settings do not name."""
    names: dict[str, Any] = {
        name: GIVEN
        for name in ("image", "mask", "depth", "reference")
        if getattr(pictures, name) is not None and not getattr(settings, name)
    }
    if pictures.prompt_masks and not settings.ip_adapter_mask:
        names["ip_adapter_mask"] = (GIVEN,) * len(pictures.prompt_masks)
    return names


def with_sampler_options(options: dict[str, Any]) -> dict[str, Any]:
    """Moves options that are not fields of `Settings` to those of the sampler: `eta=0.5`."""
    own = {name: value for name, value in options.items() if name in OPTIONS or name == SIZE}
    others = {name: value for name, value in options.items() if name not in own}
    if not others:
        return own
    texts = [f"{name}={_as_text(value)}" for name, value in others.items()]
    return own | {"sampler_options": (*own.get("sampler_options", ()), *texts)}


def _as_text(value: Any) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        return ",".join(repr(float(one)) for one in value) + ","
    return str(value).lower() if isinstance(value, bool) else str(value)
