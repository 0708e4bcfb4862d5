"""Pictures that clients bring, enlarged: by the networks that the server's owner names."""

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsd.images import stretched
from jaxsd.server.refusals import Refused, busy
from jaxsd.server.wishes import MOST_PIXELS

NONE, LANCZOS = "None", "Lanczos"
"""Names that stand for no network, in webui too."""
MOST_WAITING = 8
"""Requests that wait for their turn; more are refused."""
MOST_CALLS = 3
"""How often a network enlarges one picture, at most, as in webui."""
LOOK_EVERY = 0.5
"""Seconds between two looks whether a client is still there."""


class Size(NamedTuple):
    """Sides of a result, in pixels.

    Attributes:
      height: of the whole enlarged picture; `width` likewise.
      cut: (height, width) of what is left of its middle; None for all.
    """

    height: int
    width: int
    cut: tuple[int, int] | None = None


@dataclass
class Enlarger:
    """Enlarges one picture after the other, beside what is drawn.

    Attributes:
      files: name of a network -> its file.
      load: reads one; see `jaxsd.pipeline.upscaling.load_upscaler`.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    load: Callable[[Path], Any] | None = None

    def __post_init__(self) -> None:
        self._thread, self._waiting = ThreadPoolExecutor(1, "enlarger"), 0

    @property
    def names(self) -> tuple[str, ...]:
        """What a client may name."""
        return NONE, LANCZOS, *self.files

    def check(self, name: str, param: str) -> None:
        """Refuses a name that stands for nothing."""
        if name not in self.names:
            there = ", ".join(self.names)
            raise Refused(422, f"{param} {name!r} is not one of {there}", param=param)

    async def run(
        self, work: Callable[[Callable[..., Any]], Any], is_gone: Callable[[], Awaitable[bool]]
    ) -> Any:
        """Has work done in this thread, until nobody waits for it.

        Args:
          work: called with what it must call now and then, which ends it if nobody waits.
          is_gone: whether the client has gone.

        Raises:
          Refused: too many wait already, or the client has gone.
        """
        if self._waiting >= MOST_WAITING:
            raise busy(10.0)
        over = threading.Event()

        def go_on(*_: Any) -> None:
            if over.is_set():
                raise Refused(499, "the client has gone", "cancelled")

        def begun() -> Any:
            go_on()
            return work(go_on)

        self._waiting += 1
        try:
            told = asyncio.get_running_loop().run_in_executor(self._thread, begun)
            while not (await asyncio.wait({told}, timeout=LOOK_EVERY))[0]:
                if await is_gone():
                    over.set()
            return await told
        finally:
            over.set()
            self._waiting -= 1

    def enlarged(
        self, image: np.ndarray, size: Size, name: str, go_on: Callable[..., Any]
    ) -> np.ndarray:
        """A picture in a size, by a network or Lanczos' filter.

        Args:
          image: uint8 [H, W, 3].
          size: without its cut.
          name: one of `names` but `NONE`.
          go_on: called after each tile.

        Raises:
          ValueError: the result of the network would be too large.
        """
        if name in self.files:
            image = self._by_network(image, size, name, go_on)
        return stretched(image, size.height, size.width)

    def _by_network(
        self, image: np.ndarray, size: Size, name: str, go_on: Callable[..., Any]
    ) -> np.ndarray:
        network = self.load(self.files[name])
        for number in range(MOST_CALLS):
            height, width = image.shape[:2]
            if number and (height >= size.height or network.scale == 1):
                break
            pixels = height * width * network.scale**2
            if pixels > 4 * MOST_PIXELS:
                side = math.isqrt(4 * MOST_PIXELS) // network.scale
                raise ValueError(
                    f"{name} would make {pixels} pixels of a picture of {width}x{height}; bring "
                    f"one of at most {side}x{side}"
                )
            image = network.picture(image, progress=go_on)
        return image

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(cancel_futures=True)


def cut_out(image: np.ndarray, size: Size) -> np.ndarray:
    """The middle of an enlarged picture, as large as its size says."""
    if size.cut is None:
        return image
    height, width = size.cut
    top, left = (size.height - height) // 2, (size.width - width) // 2
    return image[top : top + height, left : left + width]


def blended(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """Two pictures uint8 [H, W, 3] in one, with a share of the second in [0, 1]."""
    mixed = (1 - share) * first.astype(np.float32) + share * second.astype(np.float32)
    return np.round(mixed).astype(np.uint8)
