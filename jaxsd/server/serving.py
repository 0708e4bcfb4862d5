"""A server from its beginning to its end: the socket, the token, the signals."""

import os
import socket
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import uvicorn

from jaxsd.canvases import Pictures
from jaxsd.server.app import app_of
from jaxsd.server.engine import Engine
from jaxsd.server.enlarging import Enlarger
from jaxsd.server.finishing import Finishing
from jaxsd.server.guard import LOOPBACK, Guard
from jaxsd.server.picture import FAILED, Picture
from jaxsd.server.served import Served
from jaxsd.server.service import Service
from jaxsd.server.shelf import Shelf
from jaxsd.server.store import Store
from jaxsd.settings import Settings, checked, rows_of

if TYPE_CHECKING:  # it imports jax
    from jaxsd.server.comfy import Comfy

LEAST_TOKEN = 16
"""Characters of a token."""
MOST_PORT = 2**16 - 1
MOST_MESSAGE = 2**16
"""Bytes of what a client says over a websocket."""
GRACE = 3
"""Seconds that connections have to end when all is drawn."""


@dataclass(frozen=True)
class Place:
    """Where a server listens, and to whom.

    Attributes:
      host: address to bind to.
      token: that clients must give; empty for none.
      names: further hosts that it answers to.
      patience: seconds that pictures have to be finished in when it ends.
    """

    host: str
    port: int
    token: str = ""
    names: tuple[str, ...] = ()
    patience: float = 30.0


class Worker(Protocol):
    """A thread that does what clients ask for."""

    draining: bool

    def drain(self) -> None:
        """Takes nothing more, and ends when what has begun is done."""

    def join(self, seconds: float) -> bool:
        """Waits for the end; whether it has come."""


def read_token(path: str | None, host: str) -> str:
    """The token in a file; empty where there is none and none is needed.

    Raises:
      ValueError: it is needed, too short, or others can read it.
      OSError: there is no such file.
    """
    if path is None:
        if host not in LOOPBACK:
            raise ValueError(
                f"--host {host} lets other machines in, which needs --token-file FILE with a token "
                f"of {LEAST_TOKEN} characters or more"
            )
        return ""
    file = Path(path)
    try:
        token = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise OSError(f"--token-file {path}: {error.strerror or error}") from None
    if len(token) < LEAST_TOKEN:
        raise ValueError(f"{path}: the token has {len(token)} characters; {LEAST_TOKEN} is least")
    found = file.stat()
    # A secret that Kubernetes or systemd brings belongs to root, and is ours by its group.
    others = 0o077 if found.st_uid == os.geteuid() else 0o007
    if stat.S_IMODE(found.st_mode) & others:
        raise ValueError(f"{path} can be read by other users; run: chmod 600 {path}")
    return token


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
      ValueError: no port has this number.
      OSError: naming host and port.
    """
    if not 0 <= port <= MOST_PORT:
        raise ValueError(f"--port {port} is out of range; allowed is 0 to {MOST_PORT}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"can not listen on {host}:{port}: {reason}; give another --port") from None


def warm_up(model: Served, artist: Any, base: Settings, engine: Engine, devices: int = 1) -> None:
    """Draws a picture on each device, so that programs are there before anyone asks.

    Raises:
      ValueError: the model cannot draw.
    """
    settings = checked(replace(base, prompt="", steps=2), model.spec)
    each, over = [], threading.Semaphore(0)
    for _ in range(devices):
        order, rows = artist.order(settings, Pictures()), rows_of(settings, model.spec)
        each.append(Picture(artist, order, rows, lambda one: over.release() if one.over else None))
    engine.submit(each)
    for _ in each:
        over.acquire()
    for one in each:
        if one.state == FAILED:
            raise ValueError(f"model {model.name} can not draw: {one.error}")


def serve(
    models: Sequence[Served],
    base: Settings,
    place: Place,
    store: Store,
    engine: Engine,
    listener: socket.socket,
    say: Callable[[str], None],
    shelf: Shelf,
    finishing: Finishing,
    comfy: "Comfy | None" = None,
    enlarger: Enlarger | None = None,
) -> None:
    """Serves until a signal, and finishes what is being drawn.

    Args:
      models: the first is taken where none is named.
      base: settings that hold where a client says nothing.
      place: where it listens.
      store: of jobs.
      engine: not begun.
      listener: a socket that listens there.
      say: called with lines for people.
      shelf: empty.
      finishing: what is done to each picture.
      comfy: runs graphs of ComfyUI's clients; its thread is not begun.
      enlarger: of pictures that clients bring.
    """
    shelf.check(models)
    workers: list[Worker] = [engine]
    if comfy is not None:
        comfy.queue.start()
        workers.append(comfy.queue)
    engine.start()
    for model in shelf.fill(models):  # nothing here may hold an artist: its weights would stay
        warm_up(model, shelf.artist(model), base, engine, engine.devices)
    service = Service(models, engine, store, base, shelf, finishing, enlarger)
    hosts = {*LOOPBACK, *place.names, place.host} - {"0.0.0.0", "::"}
    app = Guard(app_of(service, comfy), hosts, place.token)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE,
        ws_max_size=MOST_MESSAGE,
    )
    shown = f"[{place.host}]" if ":" in place.host else place.host
    say(f"listening on http://{shown}:{listener.getsockname()[1]}")
    _Server(config, workers, place.patience).run(sockets=[listener])
    for one in workers:
        one.drain()
    for one in workers:
        one.join(place.patience)
    service.close()


class _Server(uvicorn.Server):
    """Ends in good order at the first signal, and at once at the second."""

    def __init__(self, config: uvicorn.Config, workers: Sequence[Worker], patience: float) -> None:
        super().__init__(config)
        self.workers, self.patience = workers, patience

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Takes nothing new from now on, and ends when the last picture is done."""
        if self.workers[0].draining:
            os._exit(128 + sig)  # what is in a call of the network can not be stopped
        for one in self.workers:
            one.drain()
        threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        for one in self.workers:
            one.join(self.patience)
        self.should_exit = True
