"""The options of pictures as clients give them: fields of `Settings`, in JSON or in a form.

A text may name a file of this machine, so texts are closed to clients, but for those listed here.
"""

import base64
import binascii
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import Field, fields, is_dataclass, replace
from types import NoneType
from typing import Any, NamedTuple, get_args

import numpy as np

from jaxsd.canvases import Pictures, grey
from jaxsd.config import ModelSpec
from jaxsd.images import image_size, read_image, read_mask
from jaxsd.schedulers import is_learnt
from jaxsd.settings import (
    OPTIONS,
    SIZE,
    UPSCALERS,
    Control,
    ImagePrompt,
    Region,
    Settings,
    settings_from,
)
from jaxsd.typed import built, nearest

TEXTS = (
    *("prompt", "negative_prompt", "blend_prompt", "source_prompt", "region", "watermark"),
    *("sampler", "sampler_options"),
)
"""Options that are texts, and name no file."""
PICTURES = ("image", "mask", "depth", "reference")
"""Options that are pictures: base64, or a data: URL."""
SEEING: dict[str, type[Control]] = {"control": Control, "ip_adapter": ImagePrompt}
"""Lists of tables of a picture and the name of a served ControlNet, or IP-Adapter, and more."""
REFINING = "refiner"
"""The name of a served model."""
ENLARGING = "hires_upscaler"
"""May be a file too; open are the words of `UPSCALERS`."""
MOST_PIXELS = 2**24
"""Of a picture that a client sends, or asks for."""


def _is_open(one: Field) -> bool:
    kinds = {kind for kind in (*get_args(one.type), one.type) if kind not in (NoneType, ...)}
    is_text = str in kinds or any(is_dataclass(kind) for kind in kinds)
    return (
        one.name in (*TEXTS, *PICTURES, ENLARGING, REFINING, *SEEING)
        or not is_text
        or bool(one.metadata["words"])
    )


OPEN = {name: one for name, one in OPTIONS.items() if _is_open(one)}
"""The options that clients may give."""


class Wish(NamedTuple):
    """What a picture is made of, unchecked."""

    settings: Settings
    pictures: Pictures
    hashes: dict[str, str]  # sha256 of each picture by its name in the settings


def wish_of(
    values: Mapping[str, Any],
    base: Settings,
    mask_of: Callable[[io.BytesIO], np.ndarray] = read_mask,
) -> Wish:
    """Settings and pictures of a table of options; None is for what was not given.

    Args:
      values: of options.
      base: settings that hold where it says nothing.
      mask_of: reads a mask.

    Raises:
      ValueError: one line, for an option that is unknown, closed, or of another type.
    """
    given = {name: value for name, value in values.items() if value is not None}
    for name in given:
        if name in OPTIONS and name not in OPEN:
            raise ValueError(f"{name} names files of the server, so only its owner may set it")
        if name not in OPEN and name != SIZE:
            raise ValueError(f"unknown option {name!r}; {nearest(name, [*OPEN, SIZE])}")
    if isinstance(sampler := given.get("sampler"), str) and is_learnt(sampler):
        raise ValueError(f"sampler {sampler!r} is a file, which only the server's owner may name")
    if (method := given.get(ENLARGING, UPSCALERS[0])) not in UPSCALERS:
        raise ValueError(f"{ENLARGING} {method!r} is not one of {', '.join(UPSCALERS)}")
    found: dict[str, Any] = {}
    hashes: dict[str, str] = {}

    def taken(value: Any, kind: str) -> tuple[str, np.ndarray]:
        packed = picture_bytes(value, kind)
        digest = hashlib.sha256(packed).hexdigest()
        name = f"{kind}-{digest[:12]}"
        hashes[name] = digest
        return name, _read(packed, kind, mask_of)

    for name in PICTURES:
        if given.get(name):
            given[name], found[name] = taken(given[name], name)
    for name, places in (("control", "controls"), ("ip_adapter", "prompts")):
        if given.get(name):
            each = [_control(one, name, taken) for one in _listed(given[name], name)]
            given[name], found[places] = zip(*each, strict=True)
    return Wish(settings_from(given, base), Pictures(**found), hashes)


def _listed(value: Any, option: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{option} is not a list of tables with image and model")
    return value


def _control(
    value: Any, option: str, taken: Callable[[Any, str], tuple[str, np.ndarray]]
) -> tuple[Control, np.ndarray]:
    if not isinstance(value, Mapping) or not {"image", "model"} <= value.keys():
        raise ValueError(f"{option} is not a list of tables with image and model")
    name, image = taken(value["image"], option)
    return built(SEEING[option], {**value, "image": name}, f"{option}."), image


def picture_bytes(value: Any, name: str) -> bytes:
    """The bytes of a picture file: as they are, or in base64, alone or in a data: URL.

    Raises:
      ValueError: neither. Addresses are not fetched.
    """
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{name} is not a picture in base64")
    text = value
    if value[:5].lower() == "data:":
        head, comma, text = value.partition(",")
        if not comma or not head.endswith(";base64"):
            raise ValueError(f"{name} is a data: URL without ;base64")
    elif "://" in value[:20]:
        raise ValueError(f"{name} is an address; nothing is fetched, so send the picture in base64")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{name} is not a picture in base64") from None


def _read(packed: bytes, name: str, mask_of: Callable[[io.BytesIO], np.ndarray]) -> np.ndarray:
    try:
        height, width = image_size(io.BytesIO(packed))
        if height * width > MOST_PIXELS:
            raise ValueError(f"{name} is {width}x{height}; at most {MOST_PIXELS} pixels are read")
        if name == "mask":
            return mask_of(io.BytesIO(packed))
        image = read_image(io.BytesIO(packed))
    except OSError as error:
        raise ValueError(f"{name}: {str(error).partition(chr(10))[0]}") from None
    return grey(image, name) if name == "depth" else image


def with_own_size(wish: Wish, spec: ModelSpec) -> Wish:
    """The wish with the sides of its picture, in the area that suits the model.

    Where a size was asked for, or there is no picture, it stays as it is.
    """
    settings, image = wish.settings, wish.pictures.image
    if image is None or settings.width or settings.height:
        return wish
    unit = spec.vae.downscale * 2 ** (len(spec.unet.levels) - 1)
    height, width = image.shape[:2]
    scale = spec.default_size / (height * width) ** 0.5
    sides = [max(unit, unit * round(side * scale / unit)) for side in (height, width)]
    return wish._replace(settings=replace(settings, height=sides[0], width=sides[1]))


def schema() -> dict[str, Any]:
    """JSON Schema of the options, one property for each."""
    return {"type": "object", "properties": {name: _property(one) for name, one in OPEN.items()}}


def _property(one: Field) -> dict[str, Any]:
    said, kinds = one.metadata, [kind for kind in get_args(one.type) if kind is not NoneType]
    kind = kinds[0] if kinds else one.type
    shown: dict[str, Any] = {"description": said["help"]}
    if one.name in SEEING:
        return shown | {"type": "array", "items": _table(SEEING[one.name])}
    if isinstance(one.default, tuple):
        words = said["metavar"] if isinstance(said["metavar"], tuple) else ()
        inner = next((kind for kind in get_args(one.type) if kind is not ...), str)
        items = {"type": "string" if inner is Region else JSON_TYPES[inner]}
        shown |= {"type": "array", "items": items | _range(said)}
        shown |= {"minItems": len(words), "maxItems": len(words)} if words else {}
    else:
        shown |= {"type": [JSON_TYPES[kind], "null"]} | _range(said)
        if said["words"]:
            shown |= {"type": "string", "enum": list(said["words"])}
    if one.name in PICTURES:
        shown |= {"contentEncoding": "base64"}
    if one.name == ENLARGING:
        shown |= {"enum": list(UPSCALERS)}
    if one.default is not None:
        shown["default"] = list(one.default) if isinstance(one.default, tuple) else one.default
    return shown


def _table(kind: type) -> dict[str, Any]:
    """JSON Schema of a dataclass."""
    return {
        "type": "object",
        "properties": {
            one.name: {"type": JSON_TYPES[one.type], "default": one.default} for one in fields(kind)
        },
        "required": ["image", "model"],
    }


JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def _range(said: Mapping[str, Any]) -> dict[str, Any]:
    ends = (("minimum", said["low"]), ("maximum", said["high"]))
    return {name: value for name, value in ends if value is not None}
