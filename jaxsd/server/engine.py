"""Continuous batching: one thread that has the device, and everything that waits for it.

Between two calls of the network pictures join their batch, and those whose last row is done leave
it. Batches, and the decoding of pictures, take turns (`jaxsd.server.turns`).
"""

import time
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any, NamedTuple

import numpy as np

from jaxsd.server.picture import (
    CANCELLED,
    DONE,
    DRAWING,
    FAILED,
    PREVIEW_EVERY,
    Batch,
    Picture,
)
from jaxsd.server.turns import Turns

MOST_WAITING = 64
"""Pictures that wait for a place; more are refused."""
MOST_BATCHES = 4
"""Batches at a time: each may have weights of its own, with LoRAs merged."""
MOST_DRAWN = 8
"""Pictures that wait to be decoded, until nothing more joins a batch."""
DECODING = "decoding"
"""Takes its turn as a batch does."""


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


@dataclass
class _Group:
    """A batch, and who is where in it."""

    batch: Batch
    drawing: dict[int, Picture] = field(default_factory=dict)


class _Call(NamedTuple):
    """A call of the network that may still run."""

    key: Hashable
    finite: Any
    pictures: dict[int, Picture]
    began: float


class _Drawn(NamedTuple):
    """Latents that wait to be decoded."""

    picture: Picture
    batch: Batch
    latents: Any


class Engine:
    """Draws pictures of any settings and models, many at a time."""

    def __init__(self, most_waiting: int = MOST_WAITING, most_batches: int = MOST_BATCHES) -> None:
        self.most_waiting, self.most_batches = most_waiting, most_batches
        self.turns, self.calls = Turns(), 0
        self._waiting: list[Picture] = []
        self._groups: dict[Hashable, _Group] = {}
        self._drawn: deque[_Drawn] = deque()
        self._call: _Call | None = None
        self._ready = time.monotonic()
        self._changed, self._draining, self._arrived = Condition(), False, 0
        self.broken = ""
        self._thread = Thread(target=self._run, name="device", daemon=True)

    def start(self) -> None:
        """Starts the thread of the device."""
        self._thread.start()

    def submit(self, pictures: Sequence[Picture], bounded: bool = True) -> None:
        """Puts pictures at the end of the queue.

        Args:
          pictures: of one job.
          bounded: false for those that were in the queue already, of a server that ended.

        Raises:
          Full: there is no room for all of them.
          Draining: the engine is about to end.
        """
        with self._changed:
            if self._draining:
                raise Draining
            if bounded and len(self._waiting) + len(pictures) > self.most_waiting:
                raise Full(self.patience())
            for picture in pictures:
                self._arrived += 1
                picture.number = self._arrived
            self._waiting += pictures
            self._changed.notify()

    def cancel(self, picture: Picture) -> None:
        """Ends a picture before its next row; it stays what it is if it is done."""
        picture.unwanted = True
        with self._changed:
            self._changed.notify()

    def drain(self) -> None:
        """Takes nothing more, and ends when what is in a batch is done; what waits is left."""
        with self._changed:
            self._draining = True
            self._changed.notify()

    def join(self, seconds: float) -> bool:
        """Waits for the end; whether it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def draining(self) -> bool:
        """Whether it is about to end."""
        return self._draining

    @property
    def waiting(self) -> int:
        """Pictures that have no place."""
        return len(self._waiting)

    @property
    def drawing(self) -> int:
        """Pictures that have one, or wait to be decoded or for their second pass."""
        begun = sum(len(group.drawing) for group in list(self._groups.values()))
        return begun + len(self._drawn) + sum(bool(one.before) for one in list(self._waiting))

    def position(self, picture: Picture) -> int | None:
        """How many pictures come before one that waits."""
        waiting = list(self._waiting)
        return waiting.index(picture) if picture in waiting else None

    def patience(self) -> float:
        """About how many seconds there is no room, from what rows have cost; at least one."""
        rows = sum(picture.rows for picture in list(self._waiting))
        costs = [self.turns.cost(key) for key in list(self._groups)]
        places = sum(len(group.drawing) for group in list(self._groups.values()))
        each = max(costs, default=0.0) / max(1, places)
        return min(max(1.0, rows * each / 4), 120.0)

    def _run(self) -> None:
        try:
            while self._work():
                self._put_out()
                self._admit()
                busy: list[Hashable] = list(self._groups)
                busy += [DECODING] * bool(self._drawn)
                if not busy:
                    continue
                turn = self.turns.next(busy)
                if turn == DECODING:
                    self._decode()
                else:
                    self._tick(turn)
        except BaseException as error:
            self.broken = _line(error)
            self._abandon()
            raise

    def _work(self) -> bool:
        """Waits until there is something to do; false at the end."""
        with self._changed:
            while not (self._draining or self._waiting or self.drawing):
                self._changed.wait()
            return bool(self.drawing) or not self._draining

    def _put_out(self) -> None:
        """Ends what nobody wants, and what is late."""
        with self._changed:
            out = [one for one in self._waiting if one.unwanted or one.late]
            self._waiting = [one for one in self._waiting if one not in out]
        for key, group in list(self._groups.items()):
            for place, one in list(group.drawing.items()):
                if one.unwanted or one.late:
                    self._leave(key, place)
                    out.append(one)
        for one in out:
            one.expired = not one.unwanted
            if one.unwanted:
                one.become(CANCELLED)
            else:
                one.become(FAILED, f"the deadline passed after {one.row} of {one.rows} rows")

    def _admit(self) -> None:
        """Gives places to pictures in the order of their arrival.

        Where a picture needs a batch and there are too many, none that came later joins any: so
        batches become empty, and nobody waits for ever.
        """
        waiting = sorted(self._waiting, key=lambda one: one.number)
        if self._draining:
            waiting = [one for one in waiting if one.before]  # second passes
        for picture in waiting:
            group = self._groups.get(picture.key)
            if len(self._drawn) >= MOST_DRAWN:
                return
            if group is None and len(self._groups) >= self.most_batches:
                return
            if group is None or group.batch.free:
                with self._changed:
                    self._waiting.remove(picture)
                self._begin(picture)

    def _begin(self, picture: Picture) -> None:
        try:
            group = self._groups.get(picture.key) or _Group(picture.artist.batch(picture.order))
            group.drawing[group.batch.join(picture.order)] = picture
        except Exception as error:  # of this picture alone
            picture.become(FAILED, _line(error))
            return
        self._groups[picture.key] = group
        picture.become(DRAWING)

    def _leave(self, key: Hashable, place: int) -> None:
        group = self._groups[key]
        group.batch.leave(place)
        del group.drawing[place]
        if not group.drawing:
            del self._groups[key]

    def _tick(self, key: Hashable) -> None:
        """Begins a call, and looks at the one before it, so that the device never waits."""
        group, began = self._groups[key], time.monotonic()
        try:
            tick = group.batch.tick()
        except Exception as error:  # such as too little memory
            self._settle()
            self._fail(key, list(group.drawing), _line(error))
            return
        self.calls += 1
        pictures = {place: group.drawing[place] for place in tick.places}
        self._settle()
        self._call = _Call(key, tick.finite, pictures, began)
        for place, picture in pictures.items():
            if group.drawing.get(place) is picture:
                self._advanced(key, group, place, picture)

    def _settle(self) -> None:
        """Waits for the call that runs; pictures that are not finite fail alone."""
        call, self._call = self._call, None
        if call is None:
            return
        try:
            finite, why = np.asarray(call.finite), "the latents were not finite"
        except Exception as error:  # of the device
            finite, why = np.zeros(1 + max(call.pictures), bool), _line(error)
        now = time.monotonic()
        self.turns.spent(call.key, now - max(call.began, self._ready))
        self._ready = now
        for place, picture in call.pictures.items():
            group = self._groups.get(call.key)
            if not finite[place] and group and group.drawing.get(place) is picture:
                self._fail(call.key, [place], f"{why} after row {picture.row} of {picture.rows}")

    def _fail(self, key: Hashable, places: list[int], why: str) -> None:
        for place in places:
            picture = self._groups[key].drawing[place]
            self._leave(key, place)
            picture.become(FAILED, why)

    def _advanced(self, key: Hashable, group: _Group, place: int, picture: Picture) -> None:
        row, rows = group.batch.progress(place)
        picture.row, now = picture.before + row, time.monotonic()
        if picture.row in picture.partials_at:
            estimate = np.asarray(group.batch.decoded(group.batch.estimate(place)))
            picture.partials.append(picture.artist.picture(estimate, picture.order))
        if picture.watched and now - picture.previewed > PREVIEW_EVERY:
            picture.previewed = now
            picture.preview = picture.artist.preview(group.batch.estimate(place))
        if row < rows:
            picture.on_change(picture)
            return
        self._settle()
        if group.drawing.get(place) is picture:  # else it was not finite
            self._finish(key, group, place, picture)

    def _finish(self, key: Hashable, group: _Group, place: int, picture: Picture) -> None:
        later = group.batch.later(place)
        if later is None:
            self._drawn.append(_Drawn(picture, group.batch, group.batch.latents(place)))
        else:
            picture.begin_again(later)
            with self._changed:
                self._waiting.append(picture)
        self._leave(key, place)
        picture.on_change(picture)

    def _decode(self) -> None:
        picture, batch, latents = self._drawn.popleft()
        self._settle()
        began = time.monotonic()
        try:
            image = np.asarray(batch.decoded(latents))
            picture.image = picture.artist.picture(image, picture.order)
        except Exception as error:
            picture.become(FAILED, _line(error))
        else:
            picture.become(DONE)
        self._ready = time.monotonic()
        self.turns.spent(DECODING, self._ready - began)

    def _abandon(self) -> None:
        """Ends everything, since the thread ends."""
        self._draining = True
        there = [one for group in self._groups.values() for one in group.drawing.values()]
        there += [*self._waiting, *(one.picture for one in self._drawn)]
        self._groups, self._waiting = {}, []
        self._drawn.clear()
        for picture in there:
            picture.become(FAILED, self.broken)


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
