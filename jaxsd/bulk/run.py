"""The run: devices draw one call while the host reads for the next and saves the previous one."""

import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxsd.bulk.plan import Unit, calls
from jaxsd.bulk.rows import Row
from jaxsd.bulk.store import Records, Store
from jaxsd.canvases import picture_of
from jaxsd.images import to_uint8
from jaxsd.pipeline import Order
from jaxsd.sampling import first_non_finite
from jaxsd.sampling.program import Drawing

AHEAD = 2
"""Calls that threads prepare while the devices draw."""

Picture = np.ndarray | str
"""uint8 [H, W, 3], or why there is none."""


class Ready(NamedTuple):
    """Rows that are ready to be drawn in a call, in order."""

    order: Order
    hashes: tuple[dict[str, str], ...]  # of each row: sha256 of its pictures by their names
    errors: tuple[str, ...]  # of each row: why its pictures cannot be read, or empty


class Artist(Protocol):
    """What a run draws with: `jaxsd.bulk.artist.PipelineArtist`."""

    batch_size: int  # rows for each device
    devices: int

    def ready(self, rows: Sequence[Row]) -> Ready:
        """Prepares `batch_size` rows for each device; called in a thread."""

    def begin(self, ready: Ready) -> Drawing:
        """Begins to draw them, and does not wait."""

    def again(self, ready: Ready) -> Drawing | None:
        """The same in float32; None if it was in float32 already."""

    def unfit(self, picture: np.ndarray) -> str:
        """Why a picture, uint8 [H, W, 3], is not to be written; empty where it is."""

    def describe(self, row: Row, hashes: dict[str, str]) -> dict[str, Any]:
        """The line of the manifest for a row, without its file."""

    def encode(self, row: Row, hashes: dict[str, str], picture: np.ndarray) -> bytes:
        """A picture file of uint8 [H, W, 3]."""


class Drawn(NamedTuple):
    """A row that was drawn."""

    row: Row
    hashes: dict[str, str]
    picture: Picture


class Summary(NamedTuple):
    """The results of a run on this host."""

    images: int
    failed: int
    seconds: float
    busy: float  # share of the time after the first call that the devices worked
    stopped: bool


def run(
    artist: Artist,
    store: Store,
    units: Sequence[Unit],
    *,
    threads: int = 1,
    stop: Callable[[], bool] = lambda: False,
    committed: Callable[[int], Any] = lambda rows: None,
) -> Summary:
    """Draws and saves those units that are not done yet.

    Args:
      artist: draws them.
      store: saves them.
      units: all units of some shards, in order.
      threads: number of threads that read, encode and write.
      stop: once it returns true, current calls are finished and no others start.
      committed: called with a number of rows once they are saved.
    """
    pending = [unit for unit in units if not store.is_done(unit)]
    left = Counter(unit.shard for unit in pending)
    began, clock, images, failed = time.perf_counter(), Clock(), 0, 0
    shards = dict.fromkeys(unit.shard for unit in units)
    ended = [shard for shard in shards if not left[shard] and not store.is_finished(shard)]
    keeping: list[tuple[Unit, Future]] = []

    def keep(unit: Unit, rows: Sequence[Drawn]) -> None:
        store.commit(unit, *_packed(artist, rows))
        committed(len(rows))

    with ThreadPoolExecutor(threads) as pool:
        finishing = [pool.submit(store.finish, shard) for shard in ended]
        for several, ready, drawing in _begun(artist, pending, pool, clock, stop):
            rows = drawn(artist, several, ready, drawing)
            clock.ready()
            finishing += [pool.submit(store.finish, shard) for shard in _waited(keeping, left)]
            keeping = [
                (unit, pool.submit(keep, unit, own))
                for unit, own in zip(several, rows, strict=True)
            ]
            images += sum(len(own) for own in rows)
            failed += sum(isinstance(one.picture, str) for own in rows for one in own)
        finishing += [pool.submit(store.finish, shard) for shard in _waited(keeping, left)]
        for future in finishing:
            future.result()
    seconds = time.perf_counter() - began
    return Summary(images, failed, seconds, clock.share, any(left.values()))


def _waited(keeping: list[tuple[Unit, Future]], left: Counter[int]) -> list[int]:
    """Waits until units are saved; returns the shards that are now complete."""
    for unit, future in keeping:
        future.result()
        left[unit.shard] -= 1
    return [shard for shard in {unit.shard for unit, _ in keeping} if not left[shard]]


def _begun(
    artist: Artist,
    pending: Iterable[Unit],
    pool: ThreadPoolExecutor,
    clock: "Clock",
    stop: Callable[[], bool],
) -> Iterator[tuple[tuple[Unit, ...], Ready, Drawing]]:
    """Starts to draw the next units before it yields the previous drawing."""
    waiting: deque[tuple[tuple[Unit, ...], Future[Ready]]] = deque()
    to_come = calls(pending, artist.devices)

    def make_ready() -> None:
        for several in itertools.islice(to_come, AHEAD - len(waiting)):
            waiting.append((several, pool.submit(artist.ready, filled(artist, several))))

    make_ready()
    before = None
    while waiting and not stop():
        several, future = waiting.popleft()
        ready = future.result()
        make_ready()
        clock.called()
        drawing = artist.begin(ready)
        if before is not None:
            yield before
        before = several, ready, drawing
    for _, future in waiting:
        future.cancel()
    if before is not None:
        yield before


def filled(artist: Artist, units: Sequence[Unit]) -> list[Row]:
    """`batch_size` rows for each device: repeats the last row of a unit, and the last unit."""
    several = [*units, *[units[-1]] * (artist.devices - len(units))]
    size = artist.batch_size
    return [row for unit in several for row in [*unit.rows, *[unit.rows[-1]] * size][:size]]


def drawn(
    artist: Artist, units: Sequence[Unit], ready: Ready, drawing: Drawing
) -> list[list[Drawn]]:
    """The rows of each unit. Those that are not finite are drawn again once, in float32.

    In place of a picture that failed, or that is not fit, is the reason.
    """
    pictures = _pictures(ready, drawing)
    both = zip(pictures, ready.errors, strict=True)
    not_finite = any(isinstance(one, str) and not error for one, error in both)
    if not_finite and (other := artist.again(ready)) is not None:
        both = zip(pictures, _pictures(ready, other), strict=True)
        pictures = [second if isinstance(one, str) else one for one, second in both]
    pictures = [one if isinstance(one, str) else artist.unfit(one) or one for one in pictures]
    size = artist.batch_size
    return [
        [Drawn(row, ready.hashes[i], pictures[i]) for i, row in enumerate(unit.rows, number * size)]
        for number, unit in enumerate(units)
    ]


def _pictures(ready: Ready, drawing: Drawing) -> list[Picture]:
    images, finite = np.asarray(drawing.images), np.asarray(drawing.finite)
    pictures: list[Picture] = []
    for i, error in enumerate(ready.errors):
        step = first_non_finite(finite[:, i : i + 1])
        if error:
            pictures.append(error)
        elif step is not None:
            pictures.append(f"latents were not finite after step {step + 1} of {len(finite)}")
        elif not np.isfinite(images[i]).all():
            pictures.append("the autoencoder's output was not finite")
        else:
            own = ready.order.canvases[i], ready.order.settings[i]
            pictures.append(picture_of(to_uint8(images[i]), *own))
    return pictures


def _packed(artist: Artist, rows: Sequence[Drawn]) -> tuple[Records, dict[str, bytes]]:
    """Lines of the manifest, and the picture files by id."""
    records, packed = [], {}
    for row, hashes, picture in rows:
        record = artist.describe(row, hashes)
        if isinstance(picture, str):
            records.append(record | {"status": "failed", "error": picture})
        else:
            records.append(record | {"status": "drawn"})
            packed[row.id] = artist.encode(row, hashes, picture)
    return records, packed


class Clock:
    """How long devices worked: a call counts from its start, or the previous one's end, to its end.

    The first call is left out: until it ends there is nothing to overlap.
    """

    def __init__(self) -> None:
        self._called: deque[float] = deque()
        self._first = self._last = self._busy = 0.0

    def called(self) -> None:
        """A call begins."""
        self._called.append(time.perf_counter())

    def ready(self) -> None:
        """The oldest call has ended."""
        now, called = time.perf_counter(), self._called.popleft()
        if self._first:
            self._busy += now - max(called, self._last)
        else:
            self._first = now
        self._last = now

    @property
    def share(self) -> float:
        """Time worked over all time; 1 where there was one call."""
        passed = self._last - self._first
        return self._busy / passed if passed else 1.0
