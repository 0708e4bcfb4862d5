"""The server as an ASGI app: its routes, and how it says no."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

import jaxsd
from jaxsd.server import metrics, native, openai_images, openai_videos, page_routes, webui_api
from jaxsd.server.compiles import compiles
from jaxsd.server.described import OPENAI_ERROR, refusals
from jaxsd.server.engine import Engine
from jaxsd.server.refusals import Refused
from jaxsd.server.service import Service
from jaxsd.server.store import Store
from jaxsd.server.videos import Videos

if TYPE_CHECKING:  # it imports jax
    from jaxsd.server.comfy import Comfy


METHODS = ("GET", "POST", "DELETE", "PUT")


def app_of(service: Service, comfy: "Comfy | None" = None) -> FastAPI:
    """The app, without its guard; with ComfyUI's routes if they are asked for."""
    videos = Videos(service, service.store.folder / "videos")
    compiles()  # counts from now on

    @asynccontextmanager
    async def begin(app: FastAPI) -> AsyncIterator[None]:
        await native.resume(service)
        videos.resume()
        yield
        await videos.close()

    app = FastAPI(
        title="jaxsd",
        lifespan=begin,
        version=jaxsd.__version__,
        docs_url=None,  # which would load scripts of others
        redoc_url=None,
        responses=refusals(OPENAI_ERROR),
    )
    app.include_router(native.routes(service))
    app.include_router(openai_images.routes(service))
    app.include_router(openai_videos.routes(videos))
    app.include_router(webui_api.routes(service))
    if comfy is not None:
        comfy.add_to(app)
    app.include_router(page_routes.routes(service))

    @app.get("/health", tags=["probes"])
    async def health() -> Response:
        """Whether the process works."""
        broken = service.engine.broken
        return JSONResponse({"status": broken or "ok"}, 500 if broken else 200)

    @app.get("/ready", tags=["probes"])
    async def ready() -> Response:
        """Whether it takes requests."""
        no = service.engine.draining or service.engine.broken
        return JSONResponse({"status": "draining" if no else "ok"}, 503 if no else 200)

    @app.get("/metrics", tags=["probes"], response_class=PlainTextResponse)
    async def numbers() -> Response:
        """Numbers for Prometheus."""
        return Response(*metrics.exposed(service))

    if comfy is not None:
        comfy.add_files_to(app)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return _answer(request, error)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)  # nobody reads it; without it there would be a traceback

    @app.exception_handler(HTTPException)
    async def not_found(request: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(sorted(_methods(app, request)))
        return _answer(request, Refused(error.status_code, str(error.detail), code, None, headers))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"][1:]))
        return _answer(request, Refused(422, f"{name}: {first['msg']}", param=name))

    return app


def openapi() -> dict[str, Any]:
    """The description of the APIs, of a server without ControlNets; no model is read."""
    with TemporaryDirectory() as folder:
        service = Service([], Engine(), Store(Path(folder) / "data"))
        described = app_of(service).openapi()
        service.close()
    return described


def _methods(app: FastAPI, request: Request) -> set[str]:
    """Those of all routes of a path; the error tells those of the first one."""

    def is_there(method: str) -> bool:
        scope = dict(request.scope) | {"method": method}
        return any(one.matches(scope)[0] is Match.FULL for one in app.routes)

    return set(filter(is_there, METHODS))


def _answer(request: Request, refused: Refused) -> Response:
    webui = request.url.path.startswith(("/sdapi/", "/internal/"))
    said = refused.as_webui() if webui else refused.as_openai()
    return JSONResponse(said, refused.status, dict(refused.headers))
