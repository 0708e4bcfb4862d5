"""ComfyUI's editor, if the user has its files, and the routes that only it asks for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from jaxsd.server.comfy_api import body_of
from jaxsd.server.refusals import Refused, no_such
from jaxsd.writing import replacing

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "media-src 'self' data: blob:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""What the editor's own scripts may do. It reaches no other machine."""
KEPT = (".json", ".txt", ".index")
"""Endings of files that the editor keeps here: graphs and lists."""
EMPTY: dict[str, Any] = {
    "/i18n": {},
    "/workflow_templates": {},
    "/global_subgraphs": {},
    "/node_replacements": {},
    "/experiment/models": [],
    "/assets": {"assets": [], "total": 0, "has_more": False},
}
"""What the editor asks for of which there is nothing here -> the answer."""
EMPTY_BESIDE: dict[str, Any] = {
    "/templates/index.json": [],
    "/templates/index_logo.json": {},
    "/internal/folder_paths": {},
    "/internal/logs/raw": {"entries": [], "size": {"cols": 80, "rows": 0}},
}
"""The same without `/api` before it."""


def page(folder: Path) -> APIRouter:
    """The editor's page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def index() -> Response:
        """The page."""
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
        return FileResponse(folder / "index.html", headers=headers)

    _add_empty(router, EMPTY_BESIDE)
    return router


def routes(folder: Path) -> APIRouter:
    """What the editor keeps: settings and graphs, in a folder of the server."""
    router = APIRouter(tags=["ComfyUI"], include_in_schema=False)
    _add_settings(router, folder / "settings.json")
    _add_files(router, folder / "files")
    _add_empty(router, EMPTY)
    return router


def _add_empty(router: APIRouter, answers: dict[str, Any]) -> None:
    def answering(empty: Any) -> Callable[[], Response]:
        return lambda: JSONResponse(empty)

    for path, empty in answers.items():
        router.add_api_route(path, answering(empty), methods=["GET"])


def _add_settings(router: APIRouter, file: Path) -> None:
    def kept() -> dict[str, Any]:
        return json.loads(file.read_bytes()) if file.is_file() else {}

    def keep(values: dict[str, Any]) -> None:
        _write(file, json.dumps(kept() | values).encode())

    @router.get("/users")
    def users() -> dict[str, Any]:
        """The server has one user, and keeps what the editor asks for."""
        return {"storage": "server", "migrated": True}

    @router.get("/settings")
    def settings() -> dict[str, Any]:
        """The editor's settings."""
        return kept()

    @router.get("/settings/{name}")
    def setting(name: str) -> Any:
        """One of them; null if it is not set."""
        return kept().get(name)

    @router.post("/settings")
    async def set_all(request: Request) -> Response:
        """Sets some."""
        keep(await body_of(request))
        return Response()

    @router.post("/settings/{name}")
    async def set_one(name: str, request: Request) -> Response:
        """Sets one."""
        try:
            keep({name: json.loads(await request.body())})
        except (ValueError, RecursionError):
            raise Refused(400, "the body is not JSON", "invalid_json") from None
        return Response()


def _add_files(router: APIRouter, folder: Path) -> None:
    @router.get("/userdata/user.css")
    def style() -> Response:
        """The user's own style: none."""
        return Response(media_type="text/css")

    @router.get("/userdata")
    def listed(dir: str = "", recurse: bool = False) -> Any:
        """The files below a folder, with their times."""
        base = _place(folder, dir) if dir else folder
        if not base.is_dir():
            return JSONResponse([])
        found = sorted(base.rglob("*") if recurse else base.glob("*"))
        return [_told(one, base) for one in found if one.is_file()]

    @router.get("/userdata/{name:path}")
    def file(name: str) -> Response:
        """A file."""
        path = _file(folder, name)
        if not path.is_file():
            raise no_such("file", name)
        kind = "application/json" if path.suffix == ".json" else "text/plain"
        return Response(path.read_bytes(), media_type=kind)

    @router.post("/userdata/{name:path}/move/{other:path}")
    def move(name: str, other: str, overwrite: bool = False) -> Any:
        """Another name for a file."""
        old, new = _file(folder, name), _file(folder, other)
        if not old.is_file():
            raise no_such("file", name)
        _check_free(new, other, overwrite=overwrite)
        new.parent.mkdir(parents=True, exist_ok=True)
        old.replace(new)
        return _told(new, folder)

    @router.post("/userdata/{name:path}")
    async def keep(name: str, request: Request, overwrite: bool = True) -> Any:
        """Keeps a file."""
        path = _file(folder, name)
        _check_free(path, name, overwrite=overwrite)
        _write(path, await request.body())
        return _told(path, folder)

    @router.delete("/userdata/{name:path}", status_code=204)
    def delete(name: str) -> Response:
        """Forgets a file."""
        path = _file(folder, name)
        if not path.is_file():
            raise no_such("file", name)
        path.unlink()
        return Response(status_code=204)


def _place(folder: Path, name: str) -> Path:
    """A place below a folder; Refused if it is not below."""
    if "\0" not in name:
        path = (folder / name.replace("\\", "/")).resolve()
        if path.is_relative_to(folder.resolve()):
            return path
    raise Refused(403, f"{name!r} leads out of the folder", "forbidden")


def _file(folder: Path, name: str) -> Path:
    path = _place(folder, name)
    if path.suffix not in KEPT:
        raise Refused(400, f"{name!r} does not end with {', '.join(KEPT)}")
    return path


def _check_free(path: Path, name: str, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise Refused(409, f"{name!r} is there already", "file_exists")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_bytes(content)


def _told(path: Path, base: Path) -> dict[str, Any]:
    found = path.stat()
    times = {"modified": int(1000 * found.st_mtime), "created": int(1000 * found.st_ctime)}
    return {"path": path.relative_to(base.resolve()).as_posix(), "size": found.st_size} | times
