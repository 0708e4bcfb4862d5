"""OpenAI's API of images, with the options of a picture as further fields."""

import base64
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse

from jaxsd.server.asking import URGENCY, Ask, urgency_of
from jaxsd.server.bodies import flat_form, json_body, switch, whole
from jaxsd.server.described import EVENTS, answers_with
from jaxsd.server.jobs import FORMATS, Job
from jaxsd.server.native import counted
from jaxsd.server.refusals import Refused, no_such
from jaxsd.server.service import Service, raise_if_failed
from jaxsd.server.telling import PREFIX
from jaxsd.server.wishes import schema, wish_of
from jaxsd.settings import OPTIONS, SIZE

NAMES = {"num_inference_steps": "steps"}
"""Names of diffusers, and ours."""
MOST_IMAGES = 10
LIVES = 600.0
"""Seconds that OpenAI's client waits for an answer."""
UNUSED = {
    "user": None,
    "safety_identifier": None,
    "moderation": None,
    "quality": ("auto", "standard"),
    "style": (),
    "background": ("auto", "opaque"),
    "output_compression": (100,),
    "input_fidelity": ("low",),
}
"""Fields of OpenAI's that change nothing here -> values that ask for nothing; None for all."""


@dataclass
class Wanted:
    """A request, understood."""

    ask: Ask
    response_format: str
    streams: bool
    warnings: list[str]
    kind: str  # of its events


def routes(service: Service) -> APIRouter:
    """The routes of the API."""
    router = APIRouter(prefix="/v1", tags=["OpenAI"])
    own = {"prompt": {"type": "string"}, "n": {"type": "integer"}, "size": {"type": "string"}}
    properties = {"schema": schema() | {"properties": schema()["properties"] | own | URGENCY}}

    streams = answers_with(EVENTS)

    def body(kind: str) -> dict[str, Any]:
        return {"requestBody": {"content": {kind: properties}}}

    @router.post("/images/generations", openapi_extra=body("application/json"), responses=streams)
    async def generations(request: Request) -> Any:
        """Pictures of a prompt."""
        values = await json_body(request)
        for name in ("image", "mask"):
            if values.get(name):
                raise Refused(400, f"{name} is for /v1/images/edits", param=name)
        return await _answer(service, request, values, "image_generation")

    @router.post("/images/edits", openapi_extra=body("multipart/form-data"), responses=streams)
    async def edits(request: Request) -> Any:
        """Pictures made of a picture; where the mask is transparent it is painted anew."""
        values = await flat_form(request)
        if not values.get("image"):
            raise Refused(400, "image is missing", "missing_required_parameter", "image")
        return await _answer(service, request, values, "image_edit")

    @router.post("/images/variations", openapi_extra=body("multipart/form-data"), responses=streams)
    async def variations(request: Request) -> Any:
        """Pictures like a picture."""
        values = {"prompt": ""} | await flat_form(request)
        if not values.get("image"):
            raise Refused(400, "image is missing", "missing_required_parameter", "image")
        return await _answer(service, request, values, "image_edit")

    @router.get("/models")
    def models() -> dict[str, Any]:
        """The models, the first of which is taken where none is named."""
        return {"object": "list", "data": [_model(name) for name in service.models]}

    @router.get("/models/{name:path}")
    def model(name: str) -> dict[str, Any]:
        """A model."""
        if name not in service.models:
            raise no_such("model", name)
        return _model(name)

    return router


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "jaxsd"}


async def _answer(service: Service, request: Request, values: dict[str, Any], kind: str) -> Any:
    try:
        wanted = wanted_of(service, dict(values), kind)
    except ValueError as error:
        raise Refused(400, str(error)) from None
    job = await service.begin(wanted.ask)
    if wanted.streams:
        return EventSourceResponse(events(service, request, job, wanted), ping=15)
    await service.finished(job, request.is_disconnected)
    return told(request, job, wanted)


def wanted_of(service: Service, values: dict[str, Any], kind: str) -> Wanted:
    """What a request asks for.

    Raises:
      Refused: a field of OpenAI's that is wrong.
      ValueError: an option of the picture that is.
    """
    if not isinstance(values.get("prompt"), str):
        raise Refused(400, "prompt is missing", "missing_required_parameter", "prompt")
    count = whole(values, "n", 1, MOST_IMAGES)
    partials = whole(values, "partial_images", 0, 3, least=0)
    streams = switch(values, "stream")
    format = _one_of(values, "output_format", list(FORMATS))
    response = _one_of(values, "response_format", ["b64_json", "url"])
    if values.get("background") == "transparent":
        raise Refused(400, "background transparent is not possible", param="background")
    if str(values.get(SIZE)).lower() == "auto":
        del values[SIZE]
    model, urgency = values.pop("model", None), urgency_of(values, LIVES)
    warnings = []
    for name in [*values]:
        if not (name in OPTIONS or name in NAMES or name == SIZE):
            value, harmless = values.pop(name), UNUSED.get(name, ())
            if value is not None and harmless is not None and value not in harmless:
                warnings.append(f"{name} was ignored")
    for theirs, ours in NAMES.items():
        if theirs in values:
            values[ours] = values.pop(theirs)
    if values.get("seed") in (None, "", -1, "-1"):
        values["seed"] = secrets.randbelow(2**32)
    wish = wish_of(values, service.base)
    wishes = [wish._replace(settings=one) for one in counted(wish.settings, count)]
    if streams and count > 1:
        raise Refused(400, "stream is for n 1; ask several times", param="n")
    kept = response == "url" and not streams
    told = {"partials": partials * streams, "format": format, "kept": kept}
    ask = Ask(model, wishes, **urgency, **told)
    return Wanted(ask, response, streams, warnings, kind)


def _one_of(values: dict[str, Any], name: str, words: list[str]) -> str:
    value = values.pop(name, None) or words[0]
    if value not in words:
        raise Refused(400, f"{name} {value!r} is not one of {', '.join(words)}", param=name)
    return str(value)


def told(request: Request, job: Job, wanted: Wanted) -> dict[str, Any]:
    """The answer with all pictures."""
    data = []
    for i, content in enumerate(job.files):
        settings = job.recipes[i].settings
        one: dict[str, Any] = {"seed": settings.seed, "revised_prompt": settings.prompt}
        if wanted.response_format == "url":
            one["url"] = f"{str(request.base_url).rstrip('/')}{PREFIX}/pictures/{job.name(i)}"
        else:
            one["b64_json"] = base64.b64encode(content).decode()
        data.append(one)
    said = {"created": int(job.created), "data": data, **_common(job, wanted)}
    return said | ({"warnings": wanted.warnings} if wanted.warnings else {})


def _common(job: Job, wanted: Wanted) -> dict[str, Any]:
    height, width = job.recipes[0].settings.final_size
    return {
        "background": "opaque",
        "output_format": wanted.ask.format,
        "quality": "auto",
        "size": f"{width}x{height}",
    }


async def events(
    service: Service, request: Request, job: Job, wanted: Wanted
) -> AsyncIterator[dict[str, str]]:
    """Partial pictures, then the picture; who stops to listen stops the job."""
    encode, sent = FORMATS[wanted.ask.format].encode, 0
    common = {"created_at": int(job.created), **_common(job, wanted)}

    def event(name: str, content: bytes, **more: Any) -> dict[str, str]:
        said = {"type": f"{wanted.kind}.{name}", "b64_json": base64.b64encode(content).decode()}
        return {"event": said["type"], "data": json.dumps(said | common | more)}

    try:
        while True:
            over = job.over
            for picture in job.pictures[0].partials[sent:]:
                yield event("partial_image", encode(picture, None), partial_image_index=sent)
                sent += 1
            if over:
                break
            await service.change(job)
        raise_if_failed(job)
        seed = job.recipes[0].settings.seed
        more = {"seed": seed} | ({"warnings": wanted.warnings} if wanted.warnings else {})
        yield event("completed", job.files[0] or b"", **more)
    except Refused as refused:
        yield {"event": "error", "data": json.dumps(refused.as_openai())}
    finally:
        service.cancel(job)
        service.jobs.pop(job.id, None)
