"""The run: devices draw one call while the host encodes and keeps the one before."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from jaxsd.bulk.plan import Kind, Unit, calls
from jaxsd.bulk.rows import Row
from jaxsd.bulk.store import Store
from jaxsd.sampling import first_non_finite
from jaxsd.sampling.program import Drawing

Draw = Callable[[Kind, Sequence[Row]], Drawing]
"""Begins to draw rows, `batch_size` for each device, and does not wait."""

Describe = Callable[[Row], dict[str, Any]]
"""The line of the manifest for a row, but for its file."""

Encode = Callable[[Row, np.ndarray], bytes]
"""A picture file of uint8 [H, W, 3]."""


Picture = np.ndarray | str
"""uint8 [H, W, 3], or why there is none."""


class Host(NamedTuple):
    """What this process has to work with."""

    draw: Draw
    draw_again: Draw | None  # in float32, where the first is not
    describe: Describe
    encode: Encode
    batch_size: int
    devices: int
    threads: int
    stop: Callable[[], bool]
    committed: Callable[[int], None]  # called with a number of rows


class Summary(NamedTuple):
    """What a run came to on this host."""

    images: int
    failed: int
    seconds: float
    busy: float  # share of the time after the first call that the devices worked
    stopped: bool


def run(host: Host, store: Store, units: Sequence[Unit]) -> Summary:
    """Draws and keeps those units that are not done yet.

    When asked to stop it finishes the calls in hand.

    Args:
      units: all units of some shards, in order.
    """
    pending = [unit for unit in units if not store.is_done(unit)]
    left = Counter(unit.shard for unit in pending)
    began, clock, images, failed = time.perf_counter(), Clock(), 0, 0
    shards = dict.fromkeys(unit.shard for unit in units)
    ended = [shard for shard in shards if not left[shard] and not store.is_finished(shard)]
    keeping: list[tuple[Unit, Future]] = []
    with ThreadPoolExecutor(host.threads) as pool:
        finishing = [pool.submit(store.finish, shard) for shard in ended]
        for several, drawing in _ahead(host, pending, clock):
            pictures = drawn(host, several, drawing)
            clock.ready()
            finishing += [pool.submit(store.finish, shard) for shard in _waited(keeping, left)]
            keeping = [
                (unit, pool.submit(_keep, host, store, unit, own))
                for unit, own in zip(several, pictures, strict=True)
            ]
            images += sum(len(own) for own in pictures)
            failed += sum(isinstance(one, str) for own in pictures for one in own)
        finishing += [pool.submit(store.finish, shard) for shard in _waited(keeping, left)]
        for future in finishing:
            future.result()
    seconds = time.perf_counter() - began
    return Summary(images, failed, seconds, clock.share, any(left.values()))


def _waited(keeping: list[tuple[Unit, Future]], left: Counter[int]) -> list[int]:
    """Waits until units are kept; the shards that need no others."""
    for unit, future in keeping:
        future.result()
        left[unit.shard] -= 1
    return [shard for shard in {unit.shard for unit, _ in keeping} if not left[shard]]


def _ahead(
    host: Host, pending: Iterable[Unit], clock: "Clock"
) -> Iterator[tuple[tuple[Unit, ...], Drawing]]:
    """Calls the devices for the next units, and then gives the drawing before."""
    before = None
    for several in calls(pending, host.devices):
        if host.stop():
            break
        clock.called()
        drawing = host.draw(several[0].kind, filled(host, several))
        if before is not None:
            yield before
        before = several, drawing
    if before is not None:
        yield before


def filled(host: Host, units: Sequence[Unit]) -> list[Row]:
    """`batch_size` rows for each device: the last row of a unit, and the last unit, repeated."""
    several = [*units, *[units[-1]] * (host.devices - len(units))]
    size = host.batch_size
    return [row for unit in several for row in [*unit.rows, *[unit.rows[-1]] * size][:size]]


def drawn(host: Host, units: Sequence[Unit], drawing: Drawing) -> list[list[Picture]]:
    """The pictures of each unit's rows. Those that are not finite are drawn again, once."""
    pictures = _pictures(drawing)
    rows = filled(host, units)
    if host.draw_again is not None and any(isinstance(one, str) for one in pictures):
        again = _pictures(host.draw_again(units[0].kind, rows))
        both = zip(pictures, again, strict=True)
        pictures = [second if isinstance(one, str) else one for one, second in both]
    size = host.batch_size
    return [pictures[i * size :][: len(unit.rows)] for i, unit in enumerate(units)]


def _pictures(drawing: Drawing) -> list[Picture]:
    images, finite = np.asarray(drawing.images), np.asarray(drawing.finite)
    pictures: list[Picture] = []
    for image, after in zip(images, finite.T, strict=True):
        step = first_non_finite(after[:, None])
        if step is not None:
            pictures.append(f"latents were not finite after step {step + 1} of {len(after)}")
        elif not np.isfinite(image).all():
            pictures.append("the autoencoder's output was not finite")
        else:
            pictures.append(np.round((image.clip(-1, 1) + 1) * 127.5).astype(np.uint8))
    return pictures


def _keep(host: Host, store: Store, unit: Unit, pictures: Sequence[Picture]) -> None:
    records, packed = [], {}
    for row, picture in zip(unit.rows, pictures, strict=True):
        if isinstance(picture, str):
            records.append(host.describe(row) | {"status": "failed", "error": picture})
        else:
            records.append(host.describe(row) | {"status": "drawn"})
            packed[row.id] = host.encode(row, picture)
    store.commit(unit, records, packed)
    host.committed(len(unit.rows))


class Clock:
    """How long devices worked: from a call, or the end of the one before, to its own end.

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
