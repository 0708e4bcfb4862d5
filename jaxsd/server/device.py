"""Continuous batching: one thread that has a device.

Between two calls of the network pictures join their batch, and those whose last row is done leave
it. Batches, and the decoding of pictures, take turns (`jaxsd.server.turns`).
"""

import time
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, NamedTuple

import numpy as np

from jaxsd.server.line import Line
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

MOST_DRAWN = 8
"""Pictures that wait to be decoded, until nothing more joins a batch."""
DECODING = "decoding"
"""Takes its turn as a batch does."""


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


class _Decoding(NamedTuple):
    """A picture whose decoding may still run."""

    drawn: _Drawn
    image: Any
    began: float

    @property
    def picture(self) -> Picture:
        return self.drawn.picture


class Device:
    """Draws pictures of a line that others may draw from too.

    Attributes:
      turns: what uses of the device cost.
      calls: of the network.
      broken: why it draws no more; empty as long as it does.
    """

    def __init__(self, line: Line, peers: Sequence["Device"], number: int, batches: int) -> None:
        """Begins nothing.

        Args:
          line: where pictures wait.
          peers: all devices that take from it, this one among them.
          number: of this one.
          batches: at a time.
        """
        self.line, self.peers, self.number, self.most_batches = line, peers, number, batches
        self.turns, self.calls, self.broken = Turns(), 0, ""
        self._groups: dict[Hashable, _Group] = {}
        self._drawn: deque[_Drawn] = deque()
        self._call: _Call | _Decoding | None = None
        self._ready = time.monotonic()
        self.thread = Thread(target=self._run, name=f"device {number}", daemon=True)

    @property
    def load(self) -> int:
        """Pictures that have a place here, or are to be decoded."""
        placed = sum(len(group.drawing) for group in list(self._groups.values()))
        return placed + len(self._drawn) + isinstance(self._call, _Decoding)

    def seconds(self, picture: Picture) -> float:
        """About what drawing a picture costs here, of what its kind has cost; 0 if it is new."""
        group = self._groups.get(picture.key)
        beside = len(group.drawing) if group else 1
        return self.turns.cost(picture.key) * picture.rows / max(1, beside)

    def has_batch(self, picture: Picture) -> bool:
        """Whether there is a batch of its kind, full or not."""
        return picture.key in self._groups

    def takes(self, picture: Picture) -> bool:
        """Whether there is a place for it."""
        if self.broken or len(self._drawn) >= MOST_DRAWN:
            return False
        group = self._groups.get(picture.key)
        return group.batch.free > 0 if group else len(self._groups) < self.most_batches

    def _run(self) -> None:
        try:
            while self._work():
                self._put_out()
                while (picture := self._mine()) is not None:
                    self._begin(picture)
                busy: list[Hashable] = list(self._groups)
                busy += [DECODING] * bool(self._drawn)
                if not busy:
                    self._settle()
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
        line = self.line
        with line.changed:
            while not (line.closed or len(line) or self.load):
                line.changed.wait()
            return bool(self.load or line.next()) or not line.closed

    def _put_out(self) -> None:
        """Ends what nobody wants, and what is late."""
        out = self.line.take_ended()
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

    def _mine(self) -> Picture | None:
        """The next picture that this device takes, if any: of those with a place the least busy.

        Where a picture needs a batch and there are too many, none that comes later joins any: so
        batches become empty, and nobody waits for ever.
        """
        with self.line.changed:
            for picture in self.line.next():
                able = [one for one in self.peers if one.takes(picture)]
                if self in able and self.load <= min(one.load for one in able):
                    self.line.take(picture)
                    return picture
                if not able and not any(one.has_batch(picture) for one in self.peers):
                    return None
        return None

    def _begin(self, picture: Picture) -> None:
        try:
            group = self._groups.get(picture.key)
            if group is None:
                group = _Group(picture.artist.batch(picture.order, self.number))
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
        """Waits for what runs on the device, and does what follows from it."""
        call = self._call
        if isinstance(call, _Call):
            self._ticked(call)
        elif call is not None:
            self._decoded(call)
        self._call = None

    def _ticked(self, call: _Call) -> None:
        """Waits for a call; pictures that are not finite fail alone."""
        try:
            finite, why = np.asarray(call.finite)[0], "the latents were not finite"
        except Exception as error:  # of the device
            finite, why = np.zeros(1 + max(call.pictures), bool), _line(error)
        self._spent(call.key, call.began)
        for place, picture in call.pictures.items():
            if finite[place] or picture.over:
                continue
            said = f"{why} after row {picture.row} of {picture.rows}"
            group = self._groups.get(call.key)
            if group and group.drawing.get(place) is picture:
                self._fail(call.key, [place], said)
            else:  # it has left its place to be decoded
                self._drawn = deque(one for one in self._drawn if one.picture is not picture)
                picture.become(FAILED, said)

    def _spent(self, key: Hashable, began: float) -> None:
        """What a call cost: from its beginning, or the end of the one before, until now."""
        now = time.monotonic()
        self.turns.spent(key, now - max(began, self._ready))
        self._ready = now

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
        if row == rows:
            self._finish(key, group, place, picture)
        else:
            picture.on_change(picture)

    def _finish(self, key: Hashable, group: _Group, place: int, picture: Picture) -> None:
        """Gives the place of a picture to the next one, while its last row may still run."""
        later = group.batch.later(place)
        if later is None:
            self._drawn.append(_Drawn(picture, group.batch, group.batch.latents(place)))
        else:
            self._settle()
            if group.drawing.get(place) is not picture:
                return  # it was not finite
            picture.begin_again(later)
            self.line.put(picture)
        self._leave(key, place)
        picture.on_change(picture)

    def _decode(self) -> None:
        """Begins to decode a picture, and looks at the call before it, which may be its own."""
        drawn = self._drawn.popleft()
        picture, began, image, why = drawn.picture, time.monotonic(), None, ""
        try:
            image = drawn.batch.decoded(drawn.latents)
        except Exception as error:  # such as too little memory
            why = _line(error)
        self._settle()
        if picture.over:
            return  # it was not finite
        if why:
            picture.become(FAILED, why)
        else:
            self._call = _Decoding(drawn, image, began)

    def _decoded(self, call: _Decoding) -> None:
        """Waits for a picture; what float16 cannot hold is decoded once more."""
        picture = call.picture
        try:
            image = np.asarray(call.image)
            if not np.isfinite(image).all():
                image = np.asarray(call.drawn.batch.decoded_in_float32(call.drawn.latents))
                picture.decoded_in = "float32"
            picture.image = picture.artist.picture(image, picture.order)
        except Exception as error:
            picture.become(FAILED, _line(error))
        else:
            picture.become(DONE)
        self._spent(DECODING, call.began)

    def _abandon(self) -> None:
        """Ends everything, since the thread ends, and what waits is drawn by nobody."""
        self.line.close()
        there = [one for group in self._groups.values() for one in group.drawing.values()]
        there += [one.picture for one in self._drawn]
        if isinstance(self._call, _Decoding) and not self._call.picture.over:
            there.append(self._call.picture)
        self._groups = {}
        self._drawn.clear()
        with self.line.changed:
            for picture in self.line:
                self.line.take(picture)
                there.append(picture)
        for picture in there:
            picture.become(FAILED, self.broken)


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
