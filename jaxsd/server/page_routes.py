"""The page: three files of this package."""

from pathlib import Path

from fastapi import APIRouter, Response

from jaxsd.server.refusals import no_such

FILES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
"""Name -> kind. Nothing else is served of the folder."""


def routes() -> APIRouter:
    """The routes of the page."""
    router = APIRouter(tags=["page"], include_in_schema=False)

    @router.get("/")
    def index() -> Response:
        """The page itself."""
        return _file("index.html")

    @router.get("/page/{name}")
    def part(name: str) -> Response:
        """What it is made of."""
        return _file(name)

    return router


def _file(name: str) -> Response:
    if name not in FILES:
        raise no_such("file", name)
    content = (Path(__file__).parent / "page" / name).read_bytes()
    return Response(content, media_type=FILES[name], headers={"Cache-Control": "no-cache"})
