"""Jobs of a server, which `measure_growth.py` lets grow: those that wait or are over."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np

from jaxsd.families import EMOJI
from jaxsd.images import png_bytes
from jaxsd.pipeline.slots import Tick
from jaxsd.server.app import app_of
from jaxsd.server.comfy import Comfy
from jaxsd.server.comfy_events import Events
from jaxsd.server.comfy_queue import ComfyQueue
from jaxsd.server.engine import Engine
from jaxsd.server.picture import DONE, Picture
from jaxsd.server.served import Served, served_recipe
from jaxsd.server.service import Service
from jaxsd.server.store import Store, StoredJob, StoredPicture
from jaxsd.workflow import Workspace

MANY = (10, 100, 1000, 10_000)
"""A server remembers a thousand."""
ROWS = 4
"""Calls of the network for a picture that waits."""
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
"""A graph without networks; its colour makes each another one."""
PNG = png_bytes(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), None)
kept: list[TemporaryDirectory] = []
"""Folders, which are removed at the end."""


def folder() -> Path:
    """A place for files, which is removed at the end; in memory if it can be, which is quick."""
    shared = Path("/dev/shm")
    kept.append(TemporaryDirectory(dir=shared if shared.is_dir() else None))
    return Path(kept[-1].name)


def fill(store: Store, count: int) -> None:
    """That many jobs of one picture begin and end."""
    for i in range(count):
        now = time.time()
        store.add_job(StoredJob(f"{i}", now, "queued", "", '{"prompt": "a"}'))
        store.add_picture(StoredPicture(f"{i}-0", f"{i}", 0, now, i, "image/png", "{}"), PNG)
        store.end_job(f"{i}", DONE, "")


def client_of(service: Service, comfy: Comfy | None = None) -> Callable[..., Any]:
    """(method, path, more of a request) -> what the server answers, without a network."""
    transport, loop = httpx.ASGITransport(app_of(service, comfy)), asyncio.new_event_loop()
    client = httpx.AsyncClient(transport=transport, base_url="http://server")

    def answer(method: str, path: str, **more: Any) -> Any:
        asked = client.request(method, path, **more)
        return loop.run_until_complete(asked).raise_for_status().json()

    return answer


def stored(count: int) -> Callable[[], None]:
    """What the file of jobs has to do with a server's first jobs."""

    def whole() -> None:
        store = Store(folder())
        fill(store, count)
        store.close()

    return whole


def asked(count: int) -> Callable[[], None]:
    """What a page asks for after that many jobs: the last ones, and how far it is."""
    store = Store(folder())
    fill(store, count)
    served = Served("emoji", EMOJI, lambda: None, served_recipe("emoji", "float32"))
    answer = client_of(Service([served], Engine(), store))
    paths = "/jaxsd/v1/jobs?limit=10", "/sdapi/v1/progress"
    return lambda: [answer("GET", path) for path in paths] and None


class _Black:
    """A model whose pictures are black, in a batch of places; see `jaxsd.server.picture`."""

    places, size, pipes = 8, 0, ()

    def __init__(self) -> None:
        self.done: dict[int, int] = {}

    @property
    def free(self) -> int:
        return self.places - len(self.done)

    def key(self, order: Any) -> str:
        return "all alike"

    def batch(self, order: Any, device: int) -> "_Black":
        return self

    def join(self, order: Any) -> int:
        place = next(i for i in range(self.places) if i not in self.done)
        self.done[place] = 0
        return place

    def leave(self, place: int) -> None:
        del self.done[place]

    def tick(self) -> Tick:
        self.done = {place: row + 1 for place, row in self.done.items()}
        return Tick(tuple(self.done), np.ones((1, self.places), bool))

    def progress(self, place: int) -> tuple[int, int]:
        return self.done[place], ROWS

    def latents(self, place: int) -> np.ndarray:
        return np.zeros((1, 8, 8, 4), np.float32)

    def later(self, place: int) -> None:
        return None

    def decoded(self, latents: np.ndarray) -> np.ndarray:
        return latents[..., :3]

    def picture(self, image: np.ndarray, order: Any) -> np.ndarray:
        return np.zeros((8, 8, 3), np.uint8)


def waiting(count: int) -> Callable[[], None]:
    """That many pictures of as many clients join the line, and are drawn by a device."""

    def whole() -> None:
        engine, artist, over = Engine(most_waiting=count), _Black(), threading.Semaphore(0)

        def told(picture: Picture) -> None:
            if picture.over:
                assert picture.state == DONE, picture.error
                over.release()

        for _ in range(count):
            engine.submit([Picture(artist, SimpleNamespace(), ROWS, told)])
        engine.start()
        for _ in range(count):
            over.acquire()
        engine.drain()
        engine.join(60)

    return whole


def graphs(count: int) -> Callable[[], None]:
    """That many graphs are sent, run and asked for one after another, as ComfyUI's clients do."""

    def whole() -> None:
        place = folder()
        queue = ComfyQueue(Workspace(inputs=place, outputs=place / "out", closed=True), Events())
        service = Service([], Engine(), Store(place / "data"))
        answer = client_of(service, Comfy(queue, place / "kept"))
        queue.start()
        for i in range(count):
            inputs = GRAPH["1"]["inputs"] | {"color": i}
            graph = GRAPH | {"1": GRAPH["1"] | {"inputs": inputs}}
            id = answer("POST", "/prompt", json={"prompt": graph})["prompt_id"]
            while not (found := answer("GET", f"/history/{id}")):
                pass
            assert found[id]["status"]["completed"], found
        assert answer("GET", "/history?max_items=10")
        queue.drain()
        queue.join(60)
        service.close()

    return whole


SERVERS = {
    "jobs of a server: kept in its file": ("jobs", MANY, stored, 1),
    "jobs of a server: the last ones listed": ("jobs", MANY, asked, 0),
    "jobs of a server: in its line": ("jobs", MANY, waiting, 1),
    "jobs of a server: graphs of ComfyUI": ("jobs", MANY[:3], graphs, 1),
}
"""Name -> axis, sizes, what is timed, exponent of the work."""
