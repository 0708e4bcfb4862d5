"""The run with an artist that fakes: going on, failing, stopping, sharing."""

import itertools
import threading
import time
from pathlib import Path

import pytest
from bulk_models import Fake, rows_of, units_of
from test_bulk_store import files

from jaxsd.bulk import run as run_module
from jaxsd.bulk.plan import calls
from jaxsd.bulk.run import Clock, run
from jaxsd.bulk.store import Store

ROWS = rows_of(
    [
        {"prompt": f"thing {i}", "seed": i} | ({"size": "32x16"} if i % 3 == 0 else {})
        for i in range(23)
    ]
)
UNITS = units_of(ROWS)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("unbroken")
    store = Store(folder, "webdataset", "png", UNITS)
    summary = run(Fake(), store, UNITS)
    store.finish_all([])
    assert (summary.images, summary.failed, summary.stopped) == (23, 0, False)
    return files(folder)


@pytest.mark.parametrize(("devices", "hosts"), [(8, 1), (1, 2), (3, 4)])
def test_devices_and_hosts_do_not_matter(
    devices: int, hosts: int, tmp_path: Path, unbroken: dict[str, bytes]
) -> None:
    for host in range(hosts):
        store = Store(tmp_path, "webdataset", "png", UNITS)
        assert store.finish_all([]) is None
        run(Fake(devices=devices), store, [u for u in UNITS if u.shard % hosts == host])
    store.finish_all([])
    assert files(tmp_path) == unbroken


def test_devices_are_always_given_whole_batches(tmp_path: Path) -> None:
    fake = Fake(devices=4, batch_size=2)
    run(fake, Store(tmp_path, "folder", "png", UNITS), UNITS)
    assert {len(call) for call in fake.calls} == {8}
    assert {name for call in fake.calls for name in call} == {row.id for row in ROWS}


def test_what_dies_anywhere_goes_on_to_the_same_files(
    tmp_path: Path, unbroken: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies at every third commit or finish."""
    counter, drawn = itertools.count(1), []
    commit, finish = Store.commit, Store.finish

    def deadly(method):
        def call(self, *args):
            if next(counter) % 3 == 0:
                raise RuntimeError("killed")
            method(self, *args)

        return call

    monkeypatch.setattr(Store, "commit", deadly(commit))
    monkeypatch.setattr(Store, "finish", deadly(finish))
    store, kills = Store(tmp_path, "webdataset", "png", UNITS), 0
    while store.finish_all([]) is None:
        fake = Fake()
        try:
            run(fake, store, UNITS)
        except RuntimeError:
            kills += 1
        drawn += fake.calls
    assert kills > 2
    assert files(tmp_path) == unbroken
    # At each death one call was drawn and not kept, one had begun and one was waiting.
    assert len(drawn) <= len(UNITS) + 3 * kills


def test_a_stop_keeps_what_is_in_hand(tmp_path: Path, unbroken: dict[str, bytes]) -> None:
    fake = Fake()
    store = Store(tmp_path, "webdataset", "png", UNITS)
    summary = run(fake, store, UNITS, stop=lambda: len(fake.calls) == 3)
    assert summary.stopped
    assert sum(store.is_done(unit) for unit in UNITS) == len(fake.calls) == 3
    assert not run(Fake(), store, UNITS).stopped
    store.finish_all([])
    assert files(tmp_path) == unbroken


def test_what_is_not_finite_is_drawn_once_more_and_never_written(tmp_path: Path) -> None:
    store = Store(tmp_path, "folder", "png", UNITS)
    second = Fake(broken=["00000005"])
    summary = run(Fake(broken=["00000004", "00000005"], second=second), store, UNITS)
    assert (summary.images, summary.failed) == (23, 1)
    assert len(second.calls) == 1
    records = {record["id"]: record for record in store.finish_all([])}
    assert records["00000004"]["status"] == "drawn"
    failed = records["00000005"]
    assert failed["status"] == "failed"
    assert "not finite after step 3 of 20" in failed["error"]
    assert "file" not in failed
    assert len(list(tmp_path.glob("images/*/*.png"))) == 22


def test_a_picture_that_is_not_fit_is_not_written(tmp_path: Path) -> None:
    store = Store(tmp_path, "folder", "png", UNITS)
    summary = run(Fake(unfit=["00000004"]), store, UNITS)
    assert (summary.images, summary.failed) == (23, 1)
    failed = [record for record in store.finish_all([]) if record["status"] == "failed"]
    assert [(record["id"], record["error"]) for record in failed] == [("00000004", "not fit")]
    assert len(list(tmp_path.glob("images/*/*.png"))) == 22


def test_a_row_whose_picture_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    store = Store(tmp_path, "folder", "png", UNITS)
    again = Fake()
    summary = run(Fake(unreadable=["00000004"], second=again), store, UNITS)
    assert (summary.images, summary.failed, again.calls) == (23, 1, [])
    failed = [record for record in store.finish_all([]) if record["status"] == "failed"]
    assert [(record["id"], record["error"]) for record in failed] == [("00000004", "no picture")]


def test_rows_are_made_ready_while_devices_draw(tmp_path: Path) -> None:
    """Before a call is begun, somebody reads for the next one."""
    several = list(calls(UNITS, 1))

    class Reading(Fake):
        reading = threading.Semaphore(0)

        def ready(self, rows):
            self.reading.release()
            return super().ready(rows)

        def begin(self, ready):
            first, last = not self.calls, len(self.calls) == len(several) - 1
            for _ in range(2 if first else 0 if last else 1):
                assert self.reading.acquire(timeout=10)
            return super().begin(ready)

    fake = Reading()
    run(fake, Store(tmp_path, "folder", "png", UNITS), UNITS, threads=4)
    assert [name for call in fake.calls for name in dict.fromkeys(call)] == [
        row.id for unit in UNITS for row in unit.rows
    ]


def test_devices_do_not_wait_for_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that takes 50 ms a call, as jax's do: it works on while nobody looks."""
    ends = [0.0]

    class Slow(Fake):
        def begin(self, ready):
            ends.append(max(ends[-1], time.perf_counter()) + 0.05)
            return super().begin(ready)

        def encode(self, row, hashes, picture):
            time.sleep(0.01)
            return b"picture"

    pictures, waits = run_module._pictures, itertools.count(1)

    def waited(ready, drawing):
        time.sleep(max(0.0, ends[next(waits)] - time.perf_counter()))
        return pictures(ready, drawing)

    monkeypatch.setattr(run_module, "_pictures", waited)
    summary = run(Slow(), Store(tmp_path, "folder", "png", UNITS), UNITS, threads=2)
    assert summary.busy > 0.95


def test_the_clock_counts_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(run_module.time, "perf_counter", lambda: now[0])
    clock = Clock()
    for event, at in (
        (clock.called, 1.0),
        (clock.ready, 5.0),  # left out
        (clock.called, 6.0),  # a second idle
        (clock.called, 7.0),
        (clock.ready, 8.0),
        (clock.ready, 9.0),
    ):
        now[0] = at
        event()
    assert clock.share == pytest.approx(3 / 4)
