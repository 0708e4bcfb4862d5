"""What a server for ComfyUI's clients has: classes of nodes, models, memory."""

import os
import platform
import sys
from typing import Any

from fastapi import APIRouter

import jaxsd
from jaxsd.memory import host_bytes
from jaxsd.server.guard import MOST_BYTES
from jaxsd.server.refusals import no_such
from jaxsd.workflow import Workspace
from jaxsd.workflow.describing import described
from jaxsd.workflow.workspace import FOLDERS

VERSION = "0.33.0"
"""Of ComfyUI, whose protocol this is."""
FEATURES = {"supports_preview_metadata": True, "max_upload_size": MOST_BYTES}


def routes(place: Workspace) -> APIRouter:
    """The routes of lists."""
    router = APIRouter(tags=["ComfyUI"])

    @router.get("/object_info")
    def classes() -> dict[str, Any]:
        """All classes of nodes."""
        return described(place.anew())

    @router.get("/object_info/{kind}")
    def one_class(kind: str) -> dict[str, Any]:
        """A class of nodes; empty if it is not here."""
        return described(place.anew(), kind)

    @router.get("/embeddings")
    def embeddings() -> list[str]:
        """Names of embeddings, without their endings."""
        return [one.rpartition(".")[0] for one in place.anew().names("embeddings")]

    @router.get("/models")
    def kinds() -> list[str]:
        """Kinds of models."""
        return list(FOLDERS)

    @router.get("/models/{kind}")
    def models(kind: str) -> list[str]:
        """Names of a kind of model."""
        if kind not in FOLDERS:
            raise no_such("kind of model", kind)
        return place.anew().names(kind)

    @router.get("/features")
    async def features() -> dict[str, Any]:
        """What the server can do."""
        return FEATURES

    @router.get("/extensions")
    async def extensions() -> list[str]:
        """Scripts of other people for the editor: none."""
        return []

    @router.get("/system_stats")
    def system() -> dict[str, Any]:
        """The machine."""
        return _system()

    return router


def _system() -> dict[str, Any]:
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    total = host_bytes()
    same = dict.fromkeys(("vram_total", "torch_vram_total"), total)
    left = dict.fromkeys(("vram_free", "torch_vram_free"), free)
    return {
        "system": {
            "os": sys.platform,
            "ram_total": total,
            "ram_free": free,
            "comfyui_version": VERSION,
            "jaxsd_version": jaxsd.__version__,
            "python_version": platform.python_version(),
            "pytorch_version": "",
            "embedded_python": False,
            "argv": [],
        },
        "devices": [{"name": "jax", "type": "cpu", "index": None, **same, **left}],
    }
