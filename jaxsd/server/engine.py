"""All devices of a host, and the line of pictures before them."""

import time
from collections.abc import Callable, Sequence

from jaxsd.server.device import Device
from jaxsd.server.line import Line
from jaxsd.server.picture import Picture

MOST_WAITING = 64
"""Pictures that wait for a place; more are refused."""
MOST_BATCHES = 4
"""Batches of a device at a time: each may have weights of its own, with LoRAs merged."""


class Full(Exception):
    """There are too many pictures already.

    Attributes:
      seconds: after which there may be room.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__("the queue is full")
        self.seconds = seconds


class Draining(Exception):
    """The engine takes nothing more."""


class Engine:
    """Draws pictures of any settings and models, many at a time."""

    def __init__(
        self,
        most_waiting: int = MOST_WAITING,
        most_batches: int = MOST_BATCHES,
        devices: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begins nothing.

        Args:
          most_waiting: pictures; more are refused.
          most_batches: of a device at a time.
          devices: each has a thread, and artists have their weights on each.
          clock: by which pictures wait.
        """
        self.most_waiting, self._line = most_waiting, Line(clock)
        self._devices: list[Device] = []
        self._devices += [
            Device(self._line, self._devices, i, most_batches) for i in range(devices)
        ]

    def start(self) -> None:
        """Starts the threads of the devices."""
        for one in self._devices:
            one.thread.start()

    def submit(self, pictures: Sequence[Picture], bounded: bool = True) -> None:
        """Puts pictures into the line, by their priorities.

        Args:
          pictures: of one job.
          bounded: false for those that were in the line already, of a server that ended.

        Raises:
          Full: there is no room for all of them.
          Draining: the engine is about to end.
        """
        with self._line.changed:
            if self._line.closed:
                raise Draining
            if bounded and len(self._line) + len(pictures) > self.most_waiting:
                raise Full(self.patience())
            self._line.add(pictures, self._seconds)

    def cancel(self, picture: Picture) -> None:
        """Ends a picture before its next row; it stays what it is if it is done."""
        picture.unwanted = True
        self._line.wake()

    def drain(self) -> None:
        """Takes nothing more, and ends when what is in a batch is done; what waits is left."""
        self._line.close()

    def join(self, seconds: float) -> bool:
        """Waits for the end; whether it has come."""
        late = time.monotonic() + seconds
        for one in self._devices:
            one.thread.join(max(0.0, late - time.monotonic()))
        return not any(one.thread.is_alive() for one in self._devices)

    @property
    def devices(self) -> int:
        """How many draw."""
        return len(self._devices)

    @property
    def broken(self) -> str:
        """Why a device draws no more; empty as long as all do."""
        return next((one.broken for one in self._devices if one.broken), "")

    @property
    def draining(self) -> bool:
        """Whether it is about to end."""
        return self._line.closed

    @property
    def calls(self) -> int:
        """Calls of the network."""
        return sum(one.calls for one in self._devices)

    @property
    def waiting(self) -> int:
        """Pictures that have no place."""
        return len(self._line)

    @property
    def drawing(self) -> int:
        """Pictures that have one, or wait to be decoded or for their second pass."""
        return sum(one.load for one in self._devices) + sum(bool(one.before) for one in self._line)

    def position(self, picture: Picture) -> int | None:
        """How many pictures come before one that waits."""
        return self._line.position(picture)

    def patience(self) -> float:
        """About how many seconds there is no room, from what pictures have cost; at least one."""
        all_of_them = sum(map(self._seconds, self._line))
        return min(max(1.0, all_of_them / len(self._devices) / 4), 120.0)

    def _seconds(self, picture: Picture) -> float:
        """About what a picture takes, on the device where its kind is known to take longest."""
        return max(one.seconds(picture) for one in self._devices)
