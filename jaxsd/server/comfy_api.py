"""ComfyUI's HTTP routes: graphs are sent, watched, stopped, and their pictures fetched."""

import asyncio
import json
import os
import platform
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse

import jaxsd
from jaxsd.memory import host_bytes
from jaxsd.server.comfy_events import Listener, now
from jaxsd.server.comfy_judging import NotRun, judged
from jaxsd.server.comfy_queue import ComfyQueue, Prompt
from jaxsd.server.refusals import Refused, no_such
from jaxsd.workflow.describing import described
from jaxsd.workflow.workspace import FOLDERS

VERSION = "0.33.0"
"""Of ComfyUI, whose protocol this is."""
FEATURES = {"supports_preview_metadata": True, "max_upload_size": 64 * 2**20}
MOST_PART = 10_000


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object in a request, whatever it says that it is; empty for no body.

    Raises:
      Refused: something else.
    """
    content = await request.body()
    try:
        found = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "the body is not a JSON object", "invalid_json")
    return found


def routes(queue: ComfyQueue) -> APIRouter:
    """The routes, which are to be there with and without `/api` before them."""
    router = APIRouter(tags=["ComfyUI"])
    _add_prompts(router, queue)
    _add_lists(router, queue)
    _add_socket(router, queue)
    return router


def _add_prompts(router: APIRouter, queue: ComfyQueue) -> None:
    @router.get("/prompt")
    async def left() -> dict[str, Any]:
        """How many graphs are left."""
        return queue.status()

    @router.post("/prompt")
    async def send(request: Request) -> Response:
        """Checks a graph, and puts it into the line."""
        body = await body_of(request)
        if queue.draining or queue.full:
            state = "is about to end" if queue.draining else "has too many graphs"
            raise Refused(503, f"the server {state}; ask again later", "busy")
        try:
            prompt, errors = await asyncio.to_thread(_prompt_of, queue, body)
        except NotRun as error:
            return JSONResponse(error.said, 400)
        queue.put(prompt)
        told = {"prompt_id": prompt.id, "number": prompt.number, "node_errors": errors}
        return JSONResponse(told)

    @router.get("/queue")
    async def line() -> dict[str, Any]:
        """Graphs that run and that wait."""
        running = [queue.running] if queue.running else []
        waiting = [one.told for one in queue.waiting]
        return {"queue_running": [one.told for one in running], "queue_pending": waiting}

    @router.post("/queue")
    async def drop(request: Request) -> Response:
        """Takes graphs out of the line."""
        body = await body_of(request)
        if body.get("clear"):
            queue.drop(None)
        if body.get("delete"):
            queue.drop(_texts(body, "delete"))
        return Response()

    @router.get("/history")
    async def history(max_items: int = -1, offset: int = -1) -> dict[str, Any]:
        """What became of graphs, the oldest first."""
        names = list(queue.history)
        first = offset if offset >= 0 else len(names) - max_items if max_items >= 0 else 0
        chosen = names[max(first, 0) :]
        chosen = chosen[:max_items] if max_items >= 0 else chosen
        return {name: queue.history[name] for name in chosen}

    @router.get("/history/{id}")
    async def one_history(id: str) -> dict[str, Any]:
        """What became of a graph; empty if nothing is known."""
        return {id: queue.history[id]} if id in queue.history else {}

    @router.post("/history")
    async def forget(request: Request) -> Response:
        """Forgets what became of graphs."""
        body = await body_of(request)
        names = list(queue.history) if body.get("clear") else _texts(body, "delete")
        for name in names:
            queue.history.pop(name, None)
        return Response()

    @router.post("/interrupt")
    async def interrupt(request: Request) -> Response:
        """Stops the graph that runs, or that of a prompt_id if it runs."""
        id = (await body_of(request)).get("prompt_id")
        queue.interrupt(None if id is None else str(id))
        return Response()

    @router.post("/free")
    async def free(request: Request) -> Response:
        """Forgets the models of graphs, and what they made."""
        body = await body_of(request)
        if body.get("unload_models") or body.get("free_memory"):
            queue.free()
        return Response()


def _add_lists(router: APIRouter, queue: ComfyQueue) -> None:
    @router.get("/object_info")
    def classes() -> dict[str, Any]:
        """All classes of nodes."""
        return described(queue.place.anew())

    @router.get("/object_info/{kind}")
    def one_class(kind: str) -> dict[str, Any]:
        """A class of nodes; empty if it is not here."""
        return described(queue.place.anew(), kind)

    @router.get("/embeddings")
    def embeddings() -> list[str]:
        """Names of embeddings, without their endings."""
        return [one.rpartition(".")[0] for one in queue.place.anew().names("embeddings")]

    @router.get("/models")
    def kinds() -> list[str]:
        """Kinds of models."""
        return list(FOLDERS)

    @router.get("/models/{kind}")
    def models(kind: str) -> list[str]:
        """Names of a kind of model."""
        if kind not in FOLDERS:
            raise no_such("kind of model", kind)
        return queue.place.anew().names(kind)

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


def _add_socket(router: APIRouter, queue: ComfyQueue) -> None:
    @router.websocket("/ws")
    async def listen(socket: WebSocket, clientId: str = "") -> None:
        """Events for a client."""
        await socket.accept()
        id = clientId[:100] or uuid.uuid4().hex
        listener = queue.events.enter(id)
        first = {"type": "status", "data": {"status": queue.status(), "sid": id}}
        listener.tell(json.dumps(first))
        async with _together(_flags(socket, listener)):
            try:
                while (message := await listener.messages.get()) is not None:
                    if isinstance(message, bytes):
                        await socket.send_bytes(message)
                    else:
                        await socket.send_text(message)
                await socket.close()
            except (WebSocketDisconnect, RuntimeError):  # RuntimeError: it is gone already
                pass
            finally:
                queue.events.leave(id, listener)


async def _flags(socket: WebSocket, listener: Listener) -> None:
    """Reads what a client says of itself, until it goes."""
    try:
        while True:
            said = json.loads(await socket.receive_text())
            if isinstance(said, dict) and said.get("type") == "feature_flags":
                listener.flags = said.get("data") or {}
                told = {"type": "feature_flags", "data": FEATURES}
                listener.tell(json.dumps(told))
    except (WebSocketDisconnect, ValueError, KeyError):  # KeyError: bytes in place of text
        listener.tell(None)


@asynccontextmanager
async def _together(other: Any) -> AsyncIterator[None]:
    """Does another thing at the same time, for as long as this one lasts."""
    task = asyncio.create_task(other)
    try:
        yield
    finally:
        task.cancel()


def _prompt_of(queue: ComfyQueue, body: dict[str, Any]) -> tuple[Prompt, dict[str, Any]]:
    """The prompt that a client sent, and what is wrong with outputs that it leaves out.

    Raises:
      NotRun: nothing of it can run.
    """
    try:
        id = str(uuid.UUID(str(body["prompt_id"]))) if "prompt_id" in body else str(uuid.uuid4())
    except ValueError:
        raise NotRun("invalid_prompt_id", "prompt_id is no UUID") from None
    if "prompt" not in body:
        raise NotRun("no_prompt", "No prompt provided")
    targets = body.get("partial_execution_targets")
    found = judged(body["prompt"], queue.place.anew(), targets if targets is None else set(targets))
    extra = body.get("extra_data") if isinstance(body.get("extra_data"), dict) else {}
    client = body.get("client_id")
    extra |= {"create_time": now()} | ({} if client is None else {"client_id": client})
    given = body.get("number")
    number = queue.number(
        float(given) if isinstance(given, int | float) else None, front=bool(body.get("front"))
    )
    own = None if client is None else str(client)
    prompt = Prompt(number, id, body["prompt"], extra, found.graph, found.outputs, own)
    return prompt, found.errors


def _texts(body: dict[str, Any], name: str) -> list[str]:
    given = body.get(name) or []
    if not isinstance(given, list):
        raise Refused(400, f"{name} is a list of ids", param=name)
    return [str(one) for one in given[:MOST_PART]]


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
