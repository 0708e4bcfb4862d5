import asyncio
import contextlib
import threading

import pytest
import uvicorn
from fake_artist import FakeArtist
from tiny_models import TINY

from jaxsd.server.app import app_of
from jaxsd.server.engine import Engine
from jaxsd.server.guard import Guard
from jaxsd.server.served import Served, served_recipe
from jaxsd.server.service import PLAIN, Service
from jaxsd.server.store import Store


class Running:
    """A server on a port of this machine, in a thread."""

    def __init__(self, folder, most_waiting=64, models=(), base=PLAIN, comfy=None, **guard):
        self.artist = FakeArtist(places=2)
        recipe = served_recipe("tiny", "float32")
        own = {"controls": ("edges",), "refiners": ("fine",)}
        fake = Served("tiny", TINY["sd1"], lambda: self.artist, recipe, **own)
        self.engine = Engine(most_waiting)
        self.service = Service(models or [fake], self.engine, Store(folder / "data"), base)
        app = Guard(app_of(self.service, comfy), **guard)
        config = uvicorn.Config(app, port=0, log_level="error")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.engine.start()
        self.thread.start()
        while not self.server.started:
            self.thread.join(0.005)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def _run(self):
        with contextlib.suppress(asyncio.CancelledError):
            self.server.run()

    def end(self):
        self.artist.gate.set()
        self.engine.drain()
        self.server.should_exit = True
        self.thread.join(10)
        self.engine.join(10)
        self.service.close()


@pytest.fixture
def running(tmp_path):
    there = []

    def begin(**guard):
        there.append(Running(tmp_path, **guard))
        return there[-1]

    yield begin
    for one in there:
        one.end()


@pytest.fixture
def server(running):
    return running()
