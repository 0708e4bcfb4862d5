"""Pictures that come to ComfyUI's routes, and those that are fetched."""

import io
import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile

from jaxsd.images import image_size, jpeg_bytes, png_bytes, read_image, read_rgba, webp_bytes
from jaxsd.server.refusals import Refused, no_such
from jaxsd.workflow import Workspace
from jaxsd.workflow.workspace import PICTURES, TEMPORARY
from jaxsd.writing import replacing

KINDS = {
    ".png": "image/png",
    ".webp": "image/webp",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}
"""Ending -> what its contents are for HTTP. Nothing else is served."""
SMALLER = {"webp": webp_bytes, "jpeg": jpeg_bytes}
"""Kinds of previews."""
CHANNELS = ("rgba", "rgb", "a")


def routes(place: Workspace) -> APIRouter:
    """The routes of pictures."""
    router = APIRouter(tags=["ComfyUI"])

    @router.get("/view")
    def view(
        filename: str,
        type: str = "output",
        subfolder: str = "",
        preview: str = "",
        channel: str = "rgba",
    ) -> Response:
        """A picture, or one of its channels, or a smaller file of it."""
        path = _there(place, {"filename": filename, "type": type, "subfolder": subfolder})
        content, kind = _shown(path, preview.partition(";")[0], channel)
        name = path.name.encode("ascii", "replace").decode().replace('"', "_")
        headers = {"Content-Disposition": f'filename="{name}"'}
        return Response(content, media_type=kind, headers=headers)

    @router.post("/upload/image")
    async def upload_image(request: Request) -> dict[str, str]:
        """Takes a picture."""
        form = await _form(request)
        return _stored(place, form, form["content"])

    @router.post("/upload/mask")
    async def upload_mask(request: Request) -> dict[str, str]:
        """Takes a picture whose transparency becomes that of another one that is here."""
        form = await _form(request)
        try:
            other = json.loads(form.get("original_ref", ""))
        except (ValueError, RecursionError):
            other = None
        if not isinstance(other, dict):
            raise Refused(400, "original_ref is not the JSON of a picture", param="original_ref")
        pixels, _ = read_rgba(_there(place, other))
        _, alpha = read_rgba(io.BytesIO(form["content"]))
        if alpha is None or alpha.shape != pixels.shape[:2]:
            raise Refused(400, "the mask has no transparency in the size of the picture")
        return _stored(place, form, png_bytes(np.dstack([pixels, alpha])))

    return router


def _shown(path: Path, preview: str, channel: str) -> tuple[bytes, str]:
    if channel not in CHANNELS:
        raise Refused(400, f"channel {channel!r} is not one of {', '.join(CHANNELS)}")
    try:
        if preview in SMALLER:
            return SMALLER[preview](read_image(path)), f"image/{preview}"
        if channel == "rgba":
            return path.read_bytes(), KINDS[path.suffix.lower()]
        pixels, alpha = read_rgba(path)
    except OSError as error:
        raise Refused(400, str(error).partition("\n")[0]) from None
    if channel == "a":
        shape = pixels.shape[:2]
        alpha = np.full(shape, 255, np.uint8) if alpha is None else alpha
        pixels = np.dstack([np.zeros((*shape, 3), np.uint8), alpha])
    return png_bytes(pixels), "image/png"


def _folder(place: Workspace, kind: str) -> Path:
    """The folder of a type of pictures.

    Raises:
      Refused: no such type.
    """
    folders = {
        "input": place.inputs,
        "output": place.outputs,
        "temp": place.outputs / TEMPORARY,
    }
    if kind not in folders:
        raise Refused(400, f"type {kind!r} is not one of {', '.join(folders)}", param="type")
    return folders[kind].resolve()


def _within(folder: Path, subfolder: str, name: str) -> Path:
    """A picture's place below a folder, of names that a client gave.

    Raises:
      Refused: it leads out of the folder, or is no picture.
    """
    asked = (
        PurePosixPath(subfolder.replace("\\", "/")) / PurePosixPath(name.replace("\\", "/")).name
    )
    if "\0" in str(asked) or any(part.startswith(".") for part in asked.parts):
        raise Refused(400, "names do not begin with a dot")
    path = (folder / asked).resolve()
    if not path.is_relative_to(folder):
        raise Refused(403, f"{subfolder!r} leads out of the folder", "forbidden")
    if path.suffix.lower() not in PICTURES:
        raise Refused(400, f"{path.name!r} is no name of a picture: {', '.join(PICTURES)}")
    return path


def _there(place: Workspace, asked: dict[str, Any]) -> Path:
    """The file of a picture that a client names."""
    name = str(asked.get("filename", ""))
    kind, at = str(asked.get("type") or "output"), name.rpartition(" [")
    if at[1] and name.endswith("]"):
        name, kind = at[0], at[2][:-1]
    path = _within(_folder(place, kind), str(asked.get("subfolder") or ""), name)
    if not path.is_file():
        raise no_such("picture", path.name)
    return path


async def _form(request: Request) -> dict[str, Any]:
    """The fields of a form with a picture, its bytes as `content` and its name as `name`.

    Raises:
      Refused: it has none, or one that can not be read.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise Refused(415, "send a form, multipart/form-data", "unsupported_type")
    async with request.form(max_files=1, max_fields=20) as form:
        fields = {name: own for name, own in form.items() if isinstance(own, str)}
        image = form.get("image")
        if not isinstance(image, UploadFile) or not image.filename:
            raise Refused(400, "the form has no picture named image", param="image")
        found = fields | {"content": await image.read(), "name": image.filename}
    try:
        image_size(io.BytesIO(found["content"]))
    except OSError as error:
        raise Refused(400, str(error).partition("\n")[0], param="image") from None
    return found


def _stored(place: Workspace, form: dict[str, Any], content: bytes) -> dict[str, str]:
    """Keeps a picture. Another one of its name gets a number, unless it is to be replaced."""
    kind, subfolder = form.get("type") or "input", form.get("subfolder", "")
    path = first = _within(_folder(place, kind), subfolder, form["name"])
    number = 0
    while form.get("overwrite") not in ("true", "1") and path.exists():
        if path.read_bytes() == content:
            break
        number += 1
        path = first.with_name(f"{first.stem} ({number}){first.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_bytes(content)
    return {"name": path.name, "subfolder": subfolder, "type": kind}
