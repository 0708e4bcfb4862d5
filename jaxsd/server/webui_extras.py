"""webui's "extras": a picture that a client brings, or several, enlarged by one or two networks."""

import base64
import html
import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from fastapi import APIRouter, Request

from jaxsd.images import PARAMETERS, covering, image_size, picture_texts, read_image
from jaxsd.provenance import MADE_OF
from jaxsd.server.bodies import json_body, switch, whole
from jaxsd.server.enlarging import NONE, Size, blended, cut_out
from jaxsd.server.finishing import Unfit
from jaxsd.server.jobs import FORMATS
from jaxsd.server.refusals import Refused
from jaxsd.server.service import Service
from jaxsd.server.wishes import MOST_PIXELS, picture_bytes

MOST_IMAGES = 64
"""Of a request."""
MOST_FACTOR = 8.0
MOST_SIDE = 16_384
UNUSED: dict[str, tuple[Any, ...] | None] = {
    "show_extras_results": None,
    "gfpgan_visibility": (0,),
    "codeformer_visibility": (0,),
    "codeformer_weight": None,  # without visibility it means nothing
    "upscale_first": None,  # before faces are restored, or after
}
"""Fields that do nothing here -> values that ask for nothing; None for all."""


class Extras(NamedTuple):
    """What is done to each picture."""

    factor: float | None  # by which it is enlarged; None where a size is given
    height: int
    width: int
    crops: bool
    first: str
    second: str
    share: float  # of the second one
    ignored: tuple[str, ...]

    def size(self, height: int, width: int) -> Size:
        """The size that a picture gets."""
        if self.factor is not None:
            return Size(*(max(1, round(side * self.factor)) for side in (height, width)))
        cover = covering((height, width), self.height, self.width)
        return Size(cover.height, cover.width, (self.height, self.width) if self.crops else None)

    @property
    def described(self) -> str:
        """The same in webui's words."""
        if self.first == NONE:
            return ""
        size = f"{self.width}x{self.height}"
        said = {"Postprocess upscale by": f"{self.factor:g}"} if self.factor else {}
        if not said:
            said = {"Postprocess upscale to": size}
            said |= {"Postprocess crop to": size} if self.crops else {}
        said |= {"Postprocess upscaler": self.first}
        said |= {"Postprocess upscaler 2": self.second} if self.share else {}
        return ", ".join(f"{name}: {value}" for name, value in said.items())


def add_extras(router: APIRouter, service: Service) -> None:
    """Adds the routes."""

    @router.post("/sdapi/v1/extra-single-image")
    async def extra_single_image(request: Request) -> dict[str, Any]:
        """A picture, enlarged."""
        body = await json_body(request)
        packed = [body.pop("image", None)]
        extras, (made,) = await made_of(service, request, body, packed)
        return _told(extras) | {"image": made}

    @router.post("/sdapi/v1/extra-batch-images")
    async def extra_batch_images(request: Request) -> dict[str, Any]:
        """Pictures, enlarged one after the other."""
        body = await json_body(request)
        listed = body.pop("imageList", None)
        if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
            raise Refused(422, "imageList is not a list of tables with data", param="imageList")
        if not 1 <= len(listed) <= MOST_IMAGES:
            message = f"imageList has {len(listed)} pictures; allowed is 1 to {MOST_IMAGES}"
            raise Refused(422, message, param="imageList")
        packed = [one.get("data") for one in listed]
        extras, made = await made_of(service, request, body, packed)
        return _told(extras) | {"images": made}


async def made_of(
    service: Service, request: Request, body: dict[str, Any], packed: Sequence[Any]
) -> tuple[Extras, list[str]]:
    """What a request asks for, and the pictures that are made of what it brings, in base64.

    Raises:
      Refused: a field or a picture that cannot be used.
    """
    extras = extras_of(service, body)
    if service.engine.draining:
        raise Refused(503, "the server is about to end", "draining")

    def work(go_on: Any) -> list[str]:
        return [_enlarged(service, extras, one, go_on) for one in packed]

    try:
        return extras, await service.enlarger.run(work, request.is_disconnected)
    except Unfit as error:
        raise Refused(400, str(error), "content_policy_violation") from None
    except (ValueError, OSError) as error:
        raise Refused(422, str(error).partition("\n")[0], param="image") from None


def extras_of(service: Service, body: dict[str, Any]) -> Extras:
    """The fields of a request, without its pictures; what is left of them is named as ignored.

    Raises:
      Refused: one that cannot be what it is.
    """
    values = {name: value for name, value in body.items() if value is not None}
    to_size = whole(values, "resize_mode", 0, 1, least=0) == 1
    factor = _number(values, "upscaling_resize", 2.0, 1.0, MOST_FACTOR)
    width, height = (
        whole(values, f"upscaling_resize_{side}", 512, MOST_SIDE) for side in ("w", "h")
    )
    crops = switch({"upscaling_crop": True} | values, "upscaling_crop")
    values.pop("upscaling_crop", None)
    names = [str(values.pop(f"upscaler_{number}", NONE)) for number in (1, 2)]
    for number, name in enumerate(names, 1):
        service.enlarger.check(name, f"upscaler_{number}")
    share = _number(values, "extras_upscaler_2_visibility", 0.0, 0.0, 1.0)
    ignored = []
    for name, value in values.items():
        harmless = UNUSED.get(name, ())
        if harmless is not None and value not in harmless:
            ignored.append(name)
    none = names[1] == NONE
    return Extras(
        None if to_size else factor,
        height,
        width,
        crops,
        names[0],
        names[1],
        0.0 if none else share,
        tuple(ignored),
    )


def _number(values: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = values.pop(name, default)
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        message = f"{name} {value!r} is no number from {low:g} to {high:g}"
        raise Refused(422, message, param=name)
    return number


def _enlarged(service: Service, extras: Extras, given: Any, go_on: Any) -> str:
    """A picture in base64, enlarged; it keeps webui's text."""
    packed = picture_bytes(given, "image")
    height, width = image_size(BytesIO(packed))
    size = extras.size(height, width)
    for pixels, what in ((height * width, "is"), (size.height * size.width, "would become")):
        if pixels > MOST_PIXELS:
            raise ValueError(f"image {what} of {pixels} pixels; at most {MOST_PIXELS} are allowed")
    image = read_image(BytesIO(packed))
    if extras.first != NONE:
        image = cut_out(_by_both(service, extras, image, size, go_on), size)
    text = picture_texts(BytesIO(packed)).get(PARAMETERS, "")
    texts = {PARAMETERS: text, "postprocessing": extras.described}
    texts = {name: value for name, value in texts.items() if value}
    file = service.finishing.packed(image, texts, FORMATS["png"], MADE_OF)
    return base64.b64encode(file).decode()


def _by_both(
    service: Service, extras: Extras, image: np.ndarray, size: Size, go_on: Any
) -> np.ndarray:
    made = service.enlarger.enlarged(image, size, extras.first, go_on)
    if not extras.share:
        return made
    other = service.enlarger.enlarged(image, size, extras.second, go_on)
    return blended(made, other, extras.share)


def _told(extras: Extras) -> dict[str, Any]:
    told = html.escape(extras.described)
    return {"html_info": f"<p>{told}</p>" if told else "", "jaxsd_ignored": list(extras.ignored)}
