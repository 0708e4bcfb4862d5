"""The page: files of this package, and what it offers for each model."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response

from jaxsd.convert.api import BUILT_IN
from jaxsd.server.refusals import no_such
from jaxsd.server.served import Served
from jaxsd.server.service import Service
from jaxsd.settings.adapters import files_within

FOLDER = Path(__file__).parent / "page"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
}
FILES = {one.name: KINDS[one.suffix] for one in sorted(FOLDER.iterdir()) if one.suffix in KINDS}
"""Name -> kind. Nothing else is served of the folder."""


def routes(service: Service) -> APIRouter:
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

    @router.get("/page-offers")
    def offers() -> dict[str, Any]:
        """What can be chosen: models with their sizes, ControlNets and refiners, and LoRAs."""
        return {
            "models": [_offer(one) for one in service.models.values()],
            "loras": sorted(files_within(service.base.lora_folder)),
        }

    return router


def _offer(model: Served) -> dict[str, Any]:
    return {
        "name": model.name,
        "built_in": model.recipe.model if model.recipe.model in BUILT_IN else None,
        "size": model.spec.default_size,
        "controls": list(model.controls),
        "refiners": list(model.refiners),
    }


def _file(name: str) -> Response:
    if name not in FILES:
        raise no_such("file", name)
    content = (FOLDER / name).read_bytes()
    return Response(content, media_type=FILES[name], headers={"Cache-Control": "no-cache"})
