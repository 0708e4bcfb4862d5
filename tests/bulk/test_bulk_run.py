"""The run on a host that fakes: going on, failing, stopping, sharing."""

import itertools
import time
from pathlib import Path

import pytest
from bulk_models import Fake, rows_of, units_of
from test_bulk_store import files

from jaxsd.bulk import run as run_module
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
    summary = run(Fake().host(), store, UNITS)
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
        run(Fake().host(devices), store, [u for u in UNITS if u.shard % hosts == host])
    store.finish_all([])
    assert files(tmp_path) == unbroken


def test_devices_are_always_given_whole_batches(tmp_path: Path) -> None:
    fake = Fake()
    run(fake.host(devices=4, batch_size=2), Store(tmp_path, "folder", "png", UNITS), UNITS)
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
            run(fake.host(), store, UNITS)
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
    summary = run(fake.host(stop=lambda: len(fake.calls) == 3), store, UNITS)
    assert summary.stopped
    assert sum(store.is_done(unit) for unit in UNITS) == len(fake.calls) == 3
    assert not run(Fake().host(), store, UNITS).stopped
    store.finish_all([])
    assert files(tmp_path) == unbroken


def test_what_is_not_finite_is_drawn_once_more_and_never_written(tmp_path: Path) -> None:
    store = Store(tmp_path, "folder", "png", UNITS)
    first, second = Fake(broken=["00000004", "00000005"]), Fake(broken=["00000005"])
    summary = run(first.host(draw_again=second), store, UNITS)
    assert (summary.images, summary.failed) == (23, 1)
    assert len(second.calls) == 1
    records = {record["id"]: record for record in store.finish_all([])}
    assert records["00000004"]["status"] == "drawn"
    failed = records["00000005"]
    assert failed["status"] == "failed"
    assert "not finite after step 3 of 20" in failed["error"]
    assert "file" not in failed
    assert len(list(tmp_path.glob("images/*/*.png"))) == 22


def test_devices_do_not_wait_for_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that takes 50 ms a call, as jax's do: it works on while nobody looks."""
    ends = [0.0]

    class Slow(Fake):
        def __call__(self, kind, rows):
            ends.append(max(ends[-1], time.perf_counter()) + 0.05)
            return super().__call__(kind, rows)

    pictures, waits = run_module._pictures, itertools.count(1)

    def waited(drawing):
        time.sleep(max(0.0, ends[next(waits)] - time.perf_counter()))
        return pictures(drawing)

    monkeypatch.setattr(run_module, "_pictures", waited)
    slow = Slow()
    host = slow.host()._replace(encode=lambda row, image: time.sleep(0.01) or b"picture")
    summary = run(host, Store(tmp_path, "folder", "png", UNITS), UNITS)
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
