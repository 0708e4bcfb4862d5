"""ComfyUI's protocol on a server: its thread of graphs, and all of its routes."""

from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from jaxsd.server import (
    comfy_api,
    comfy_editor,
    comfy_files,
    comfy_jobs,
    comfy_lists,
    comfy_socket,
)
from jaxsd.server.comfy_queue import ComfyQueue

PREFIXES = ("", "/api")
"""Clients ask with and without it."""


@dataclass(frozen=True)
class Comfy:
    """What a server needs for ComfyUI's clients.

    Attributes:
      queue: runs their graphs.
      kept: the folder of what the editor keeps.
      editor: its own files; None to serve no editor.
    """

    queue: ComfyQueue
    kept: Path
    editor: Path | None = None

    def add_to(self, app: FastAPI) -> None:
        """Adds the routes, before those of the page, whose place the editor takes."""
        for prefix in PREFIXES:
            app.include_router(comfy_api.routes(self.queue), prefix=prefix)
            app.include_router(comfy_socket.routes(self.queue), prefix=prefix)
            app.include_router(comfy_lists.routes(self.queue.place), prefix=prefix)
            app.include_router(comfy_files.routes(self.queue.place), prefix=prefix)
        app.include_router(comfy_jobs.routes(self.queue), prefix="/api")
        if self.editor is not None:
            app.include_router(comfy_editor.routes(self.kept), prefix="/api")
            app.include_router(comfy_editor.page(self.editor))

    def add_files_to(self, app: FastAPI) -> None:
        """Adds the editor's files, behind all other routes."""
        if self.editor is not None:
            app.mount("/", StaticFiles(directory=self.editor))
