"""jaxsd's own API: jobs that outlive their connection, with events."""

import base64
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sse_starlette import EventSourceResponse

from jaxsd.images import jpeg_bytes
from jaxsd.server.asking import URGENCY, Ask, urgency_of
from jaxsd.server.bodies import json_body, whole
from jaxsd.server.described import EVENTS, answers_with
from jaxsd.server.jobs import FORMATS
from jaxsd.server.picture import FAILED
from jaxsd.server.refusals import Refused, no_such
from jaxsd.server.restoring import told_in
from jaxsd.server.service import Service
from jaxsd.server.telling import PREFIX, told, told_by_id
from jaxsd.server.wishes import picture_bytes, schema, wish_of
from jaxsd.settings import LARGEST_SEED, Settings

MOST_IMAGES = 16
"""Of a job."""
OWN = {
    "model": {"type": "string", "description": "name of a model; the first one if not given"},
    "num_images": {"type": "integer", "minimum": 1, "maximum": MOST_IMAGES, "default": 1},
    "format": {"type": "string", "enum": list(FORMATS), "default": "png"},
    **URGENCY,
}
"""Keys of a job beside the options of a picture."""


def request_schema() -> dict[str, Any]:
    """JSON Schema of a job."""
    found = schema()
    return found | {"properties": OWN | found["properties"]}


def ask_of(values: dict[str, Any], base: Settings, id: str | None = None) -> Ask:
    """What a job asks for; its seed is drawn here if it is not given.

    Raises:
      Refused: a key of its own that is wrong.
      ValueError: an option that is.
    """
    values = {"seed": None} | values
    if values["seed"] in (None, -1):
        values["seed"] = secrets.randbelow(2**32)
    body = json.dumps(values)
    count = whole(values, "num_images", 1, MOST_IMAGES)
    model, name = values.pop("model", None), values.pop("format", None) or "png"
    if name not in list(FORMATS):
        raise Refused(400, f"format {name!r} is not one of {', '.join(FORMATS)}", param="format")
    urgency = urgency_of(values, None)
    wish = wish_of(values, base)
    wishes = [wish._replace(settings=one) for one in counted(wish.settings, count)]
    own = {} if id is None else {"id": id, "admitted": True}
    return Ask(model, wishes, format=name, body=body, kept=True, **urgency, **own)


async def resume(service: Service) -> None:
    """Begins again what a server that ended has left in the store, under the same ids."""
    for row in service.store.unfinished():
        try:
            await service.begin(ask_of(json.loads(row.body), service.base, row.id))
        except (Refused, ValueError) as error:  # such as a model that is not served any more
            service.store.end_job(row.id, FAILED, str(error))


def counted(settings: Settings, count: int) -> list[Settings]:
    """Settings of so many pictures, each with one more seed."""
    name = settings.counted
    first = getattr(settings, name)
    if first + count - 1 > LARGEST_SEED:
        raise ValueError(f"{name} {first} leaves no room for {count} pictures")
    return [replace(settings, **{name: first + i}) for i in range(count)]


def routes(service: Service) -> APIRouter:
    """The routes of the API."""
    router = APIRouter(prefix=PREFIX, tags=["jobs"])
    body = {"requestBody": {"content": {"application/json": {"schema": request_schema()}}}}

    @router.post("/jobs", status_code=202, openapi_extra=body)
    async def begin(request: Request) -> Response:
        """Begins a job, and answers at once."""
        values = await json_body(request)
        try:
            ask = ask_of(values, service.base)
        except ValueError as error:
            raise Refused(400, str(error)) from None
        job = await service.begin(ask)
        location = {"Location": f"{PREFIX}/jobs/{job.id}"}
        return JSONResponse(told(service, job), 202, location)

    @router.get("/jobs")
    def last_jobs(limit: int = 50) -> list[dict[str, Any]]:
        """The last jobs, the newest first."""
        rows = service.store.jobs(min(max(limit, 1), 200))
        return [told_by_id(service, row.id) for row in rows]

    @router.get("/jobs/{id}")
    def one_job(id: str) -> dict[str, Any]:
        """A job."""
        return told_by_id(service, id)

    @router.get(
        "/jobs/{id}/events", response_class=EventSourceResponse, responses=answers_with(EVENTS)
    )
    async def events(id: str, preview: bool = False) -> EventSourceResponse:
        """Server-sent events: `progress` and `preview`, and in the end what the job has become."""
        told_by_id(service, id)  # an unknown one is refused before the answer begins
        return EventSourceResponse(events_of(service, id, preview), ping=15)

    @router.post("/jobs/{id}/cancel")
    async def cancel(id: str) -> dict[str, Any]:
        """Cancels a job; one that is over is answered with 409."""
        job = service.jobs.get(id)
        if job is None or job.over:
            state = told_by_id(service, id)["status"]
            raise Refused(409, f"the job is {state} already", "job_is_over")
        service.cancel(job)
        return told(service, job)

    @router.delete("/jobs/{id}", status_code=204)
    async def delete(id: str) -> Response:
        """Forgets a job that is over, and its pictures."""
        if told_by_id(service, id)["status"] in ("queued", "in_progress"):
            raise Refused(409, "the job is not over; cancel it first", "job_is_not_over")
        service.store.delete_job(id)
        return Response(status_code=204)

    kinds = (one.kind for one in FORMATS.values())

    @router.get("/pictures/{id}", response_class=Response, responses=answers_with(*kinds))
    def picture(id: str) -> Response:
        """A picture's file."""
        found = service.store.content(id)
        if found is None:
            raise no_such("picture", id)
        kind, content = found
        return Response(content, media_type=kind, headers={"Cache-Control": "private, immutable"})

    @router.post("/settings")
    async def settings_in(request: Request) -> dict[str, Any]:
        """The options that a picture tells, whatever program made it: `{"image": base64}`."""
        values = await json_body(request)
        try:
            return told_in(picture_bytes(values.get("image"), "image"), service.base)
        except (ValueError, OSError) as error:
            raise Refused(422, str(error).partition("\n")[0], param="image") from None

    @router.get("/options")
    async def options() -> dict[str, Any]:
        """JSON Schema of a job: every option with its range and help."""
        return request_schema()

    return router


async def events_of(service: Service, id: str, preview: bool) -> AsyncIterator[dict[str, str]]:
    """The events of a job until it is over. Who stops to listen does not stop the job."""
    shown: dict[int, Any] = {}
    preview = preview and service.finishing.shows
    while (job := service.jobs.get(id)) is not None and not job.over:
        for number, one in enumerate(job.pictures):
            one.watched = one.watched or preview
            if preview and one.preview is not shown.get(number):
                shown[number] = one.preview
                data = base64.b64encode(jpeg_bytes(one.preview)).decode()
                said = {"image": number, "data": f"data:image/jpeg;base64,{data}"}
                yield {"event": "preview", "data": json.dumps(said)}
        yield {"event": "progress", "data": json.dumps(told(service, job))}
        await job.change(5)
    said = told_by_id(service, id)
    yield {"event": str(said["status"]), "data": json.dumps(said)}
