"""ComfyUI's routes of graphs: they are sent, wait, run, are stopped, and are remembered."""

import asyncio
import json
import uuid
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from jaxsd.server.comfy_events import now
from jaxsd.server.comfy_judging import NotRun, judged
from jaxsd.server.comfy_queue import ComfyQueue
from jaxsd.server.comfy_showing import Prompt
from jaxsd.server.refusals import Refused

MOST_PART = 10_000
"""Ids in a request; more are left aside."""


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object in a request, whatever it says that it is; empty for no body.

    Raises:
      Refused: something else.
    """
    content = await request.body()
    try:
        found = json.loads(content) if content else {}
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()  # as it is told again
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "the body is not a JSON object", "invalid_json")
    return found


def routes(queue: ComfyQueue) -> APIRouter:
    """The routes of graphs."""
    router = APIRouter(tags=["ComfyUI"])

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

    return router


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
    wanted = None if targets is None else _texts(body, "partial_execution_targets")
    found = judged(body["prompt"], queue.place.anew(), wanted)
    extra = body.get("extra_data") if isinstance(body.get("extra_data"), dict) else {}
    if not isinstance(extra.get("extra_pnginfo", {}), dict):
        del extra["extra_pnginfo"]
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
