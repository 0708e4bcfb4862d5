"""An artist without networks: latents count the rows that an image has had."""

import threading
import time
from typing import NamedTuple

import numpy as np
from tiny_models import TINY

from jaxsd.canvases import Pictures
from jaxsd.pipeline.slots import Tick
from jaxsd.settings import Settings, rows_of


class FakeOrder(NamedTuple):
    name: str
    rows: int
    kind: str = "a"
    settings: Settings | None = None
    nan_after: int = 0
    later: "FakeOrder | None" = None
    overflows: bool = False


class FakeBatch:
    def __init__(self, artist: "FakeArtist") -> None:
        self.artist = artist
        self.there: dict[int, list] = {}

    @property
    def free(self) -> int:
        return self.artist.places - len(self.there)

    def join(self, order: FakeOrder) -> int:
        place = next(i for i in range(self.artist.places) if i not in self.there)
        self.there[place] = [order, 0]
        self.artist.joined.append(order.name)
        return place

    def leave(self, place: int) -> None:
        del self.there[place]

    def tick(self) -> Tick:
        self.artist.gate.wait()
        time.sleep(self.artist.pause)
        self.artist.ticks.append(tuple(one.name for one, _ in self.there.values()))
        finite = np.ones((1, self.artist.places), bool)
        for place, one in self.there.items():
            one[1] += 1
            finite[0, place] = one[1] != one[0].nan_after
        return Tick(tuple(self.there), finite)

    def progress(self, place: int) -> tuple[int, int]:
        order, row = self.there[place]
        return row, order.rows

    def latents(self, place: int) -> np.ndarray:
        order, row = self.there[place]
        return np.full((1, 1, 1, 4), np.inf if order.overflows else row, np.float32)

    estimate = latents

    def decoded(self, latents: np.ndarray) -> np.ndarray:
        return np.repeat(latents[..., :3], 8, axis=1).repeat(8, axis=2)

    def decoded_in_float32(self, latents: np.ndarray) -> np.ndarray:
        return self.decoded(np.where(np.isfinite(latents), latents, 0))

    def later(self, place: int) -> FakeOrder | None:
        return self.there[place][0].later


class FakeArtist:
    """An artist.

    Attributes: ticks, who was in each call; joined, in order; gate, closed to hold the device;
    pause, seconds of a call.
    """

    size = 0
    pipes = ()

    def __init__(self, places: int = 2) -> None:
        self.places, self.ticks, self.gate = places, [], threading.Event()
        self.joined, self.pause = [], 0.0
        self.asked: list[tuple[Settings, Pictures]] = []
        self.gate.set()

    def key(self, order: FakeOrder) -> str:
        return order.kind

    def batch(self, order: FakeOrder, device: int) -> FakeBatch:
        return FakeBatch(self)

    def order(self, settings: Settings, pictures: Pictures) -> FakeOrder:
        self.asked.append((settings, pictures))
        nan = 2 if "nan" in settings.prompt else 0
        rows = rows_of(settings, TINY["sd1"])
        return FakeOrder(settings.prompt, rows, "a", settings, nan)

    def picture(self, image: np.ndarray, order: FakeOrder) -> np.ndarray:
        """A picture of one colour, by its seed; an estimate by its row."""
        if order.settings is None:
            return image[0].astype(np.uint8)
        done = image[0, 0, 0, 0] == order.rows
        value = order.settings.seed % 256 if done else image[0, 0, 0, 0]
        return np.full((*order.settings.final_size, 3), value, np.uint8)

    def preview(self, estimate: np.ndarray) -> np.ndarray:
        return estimate[0, ..., :3].astype(np.uint8)
