"""ComfyUI's websocket as a route."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from jaxsd.server.comfy_events import Listener
from jaxsd.server.comfy_lists import FEATURES
from jaxsd.server.comfy_queue import ComfyQueue


def routes(queue: ComfyQueue) -> APIRouter:
    """The route of the websocket."""
    router = APIRouter()

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

    return router


async def _flags(socket: WebSocket, listener: Listener) -> None:
    """Reads what a client says of itself, until it goes."""
    try:
        while True:
            said = json.loads(await socket.receive_text())
            if isinstance(said, dict) and said.get("type") == "feature_flags":
                flags = said.get("data")
                listener.flags = flags if isinstance(flags, dict) else {}
                told = {"type": "feature_flags", "data": FEATURES}
                listener.tell(json.dumps(told))
    except (
        WebSocketDisconnect,
        ValueError,
        RecursionError,
        KeyError,
    ):  # KeyError: bytes in place of text
        listener.tell(None)


@asynccontextmanager
async def _together(other: Any) -> AsyncIterator[None]:
    """Does another thing at the same time, for as long as this one lasts."""
    task = asyncio.create_task(other)
    try:
        yield
    finally:
        task.cancel()
