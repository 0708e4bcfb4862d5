"""OpenAI's API of videos: walks from key frame to key frame."""

import base64
import secrets
from typing import Any

from fastapi import APIRouter, Request, Response

from jaxsd.server.bodies import flat_form, is_json, json_body
from jaxsd.server.described import answers_with
from jaxsd.server.filming import FILE
from jaxsd.server.picture import DONE
from jaxsd.server.refusals import Refused
from jaxsd.server.videos import Video, Videos
from jaxsd.server.wishes import schema
from jaxsd.video.easing import EASINGS
from jaxsd.video.files import check_kind
from jaxsd.video.plan import frame_id

VARIANTS = {
    "video": (FILE, "video/mp4"),
    "thumbnail": (f"{frame_id(0)}.png", "image/png"),
    "spritesheet": (f"{FILE}.sheet.png", "image/png"),
}
"""What can be had of a video -> its file, and the kind of that."""
MOST_LISTED = 100
OWN = {
    "prompt": {"type": "string", "description": "a key frame in each line"},
    "seconds": {"type": ["string", "number"], "default": "4"},
    "fps": {"type": "number", "default": 24},
    "easing": {"type": "string", "enum": list(EASINGS)},
    "loop": {"type": "boolean", "default": False},
    "model": {"type": "string"},
    "size": {"type": "string"},
    "input_reference": {"type": "string", "contentEncoding": "base64"},
}
"""JSON Schema of a request, beside options of pictures."""


def routes(videos: Videos) -> APIRouter:
    """The routes of the API."""
    router = APIRouter(prefix="/v1/videos", tags=["OpenAI"])
    asked = {"schema": schema() | {"properties": schema()["properties"] | OWN}}
    kinds = ("application/json", "multipart/form-data")
    body = {"requestBody": {"content": dict.fromkeys(kinds, asked)}}

    @router.post("", openapi_extra=body)
    async def create(request: Request) -> dict[str, Any]:
        """Begins a video, and answers at once."""
        try:
            check_kind(videos.folder / FILE, sounds=False)
        except ValueError as error:
            raise Refused(501, str(error), "not_installed") from None
        values = await (json_body(request) if is_json(request) else flat_form(request))
        if not isinstance(values.get("prompt"), str):
            raise Refused(400, "prompt is missing", "missing_required_parameter", "prompt")
        if values.get("seed") in (None, "", -1, "-1"):
            values["seed"] = secrets.randbelow(2**32)
        if isinstance(picture := values.get("input_reference"), bytes):
            values["input_reference"] = base64.b64encode(picture).decode()
        return (await videos.begin(values)).said

    @router.get("")
    async def listed(
        after: str | None = None, limit: int = 20, order: str = "desc"
    ) -> dict[str, Any]:
        """The videos, the newest first."""
        each = [one.said for one in videos.there.values()]
        each = each if order == "asc" else each[::-1]
        ids = [one["id"] for one in each]
        if after is not None:
            each = each[ids.index(videos.video(after).said["id"]) + 1 :]
        shown = each[: min(max(limit, 1), MOST_LISTED)]
        ends = [one["id"] for one in (*shown[:1], *shown[-1:])]
        first, last = ends or (None, None)
        more = len(each) > len(shown)
        return {
            "object": "list",
            "data": shown,
            "first_id": first,
            "last_id": last,
            "has_more": more,
        }

    @router.get("/{id}")
    async def one(id: str) -> dict[str, Any]:
        """A video."""
        return videos.video(id).said

    files = answers_with(*(kind for _, kind in VARIANTS.values()))

    @router.get("/{id}/content", response_class=Response, responses=files)
    def content(id: str, variant: str = "video") -> Response:
        """The file of a video that is done, its first frame, or a sheet of its key frames."""
        if variant not in VARIANTS:
            message = f"variant {variant!r} is not one of {', '.join(VARIANTS)}"
            raise Refused(400, message, param="variant")
        name, kind = VARIANTS[variant]
        return Response(_file(videos.video(id), name), media_type=kind)

    @router.delete("/{id}")
    async def delete(id: str) -> dict[str, Any]:
        """Forgets a video; one that is not done is ended."""
        videos.delete(id)
        return {"id": id, "object": "video.deleted", "deleted": True}

    return router


def _file(video: Video, name: str) -> bytes:
    if video.said["status"] != DONE:
        raise Refused(404, f"the video is {video.said['status']}", "video_not_done")
    return video.file(name).read_bytes()
