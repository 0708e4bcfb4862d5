"""ComfyUI's websocket: what clients are told while graphs run."""

import asyncio
import json
import struct
import time
from typing import Any

PREVIEW, PREVIEW_WITH_METADATA = 1, 4
"""Kinds of binary messages."""
JPEG = 1
MOST_UNREAD = 500
"""Messages that wait for a client; one that does not read them is let go."""
FLAG = "supports_preview_metadata"
"""What the editor says when it connects: previews may say whose they are."""

Message = str | bytes


class Listener:
    """A client that is connected."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message | None] = asyncio.Queue(MOST_UNREAD)
        self.flags: dict[str, Any] = {}

    def tell(self, message: Message | None) -> None:
        """Puts a message into its line; None ends it."""
        if self.messages.full():
            while not self.messages.empty():
                self.messages.get_nowait()
            message = None
        self.messages.put_nowait(message)


class Events:
    """All clients that are connected, by the ids that they gave. Any thread may tell them."""

    def __init__(self) -> None:
        self._there: dict[str, Listener] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def enter(self, id: str) -> Listener:
        """A new client, in place of an older one of this id; in the thread of the handlers."""
        self._loop = asyncio.get_running_loop()
        if (old := self._there.get(id)) is not None:
            old.tell(None)
        self._there[id] = listener = Listener()
        return listener

    def leave(self, id: str, listener: Listener) -> None:
        """A client that is gone."""
        if self._there.get(id) is listener:
            del self._there[id]

    def tell(self, event: str, data: dict[str, Any], to: str | None = None) -> None:
        """Tells a client, or all, an event."""
        self._tell(json.dumps({"type": event, "data": data}), to)

    def show(self, jpeg: bytes, about: dict[str, Any], to: str | None, *, asked: bool) -> None:
        """Shows a preview to clients that understand it, or to all if it was asked for.

        Programs that know no previews take every binary message for a result.

        Args:
          jpeg: the picture.
          about: the node and the prompt that it is of.
          to: a client, or None for all.
          asked: whether the prompt asks for previews.
        """
        plain = struct.pack(">II", PREVIEW, JPEG) + jpeg
        told = json.dumps(about | {"image_type": "image/jpeg"}).encode()
        whole = struct.pack(">II", PREVIEW_WITH_METADATA, len(told)) + told + jpeg
        for id, one in list(self._there.items()):
            if to in (None, id):
                if one.flags.get(FLAG):
                    self._tell(whole, id)
                elif asked:
                    self._tell(plain, id)

    def _tell(self, message: Message, to: str | None) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        for id, one in list(self._there.items()):
            if to in (None, id):
                self._loop.call_soon_threadsafe(one.tell, message)


def now() -> int:
    """The time in milliseconds, as events have it."""
    return int(1000 * time.time())
