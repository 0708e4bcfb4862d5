import threading
import time

import numpy as np
import pytest
from fake_artist import FakeArtist, FakeOrder

from jaxsd.server.engine import Draining, Engine, Full
from jaxsd.server.picture import CANCELLED, DONE, FAILED, QUEUED, Picture
from jaxsd.server.turns import Turns


def test_turns_share_seconds_and_nobody_starves():
    turns, spent = Turns(), {"dear": 0.0, "cheap": 0.0, "late": 0.0}
    costs = {"dear": 0.1, "cheap": 0.01, "late": 0.03}
    for use in range(3000):
        busy = ["dear", "cheap"] + ["late"] * (use >= 1000)
        one = turns.next(busy)
        spent[one] += costs[one]
        turns.spent(one, costs[one])
        if use == 999:
            assert spent["dear"] == pytest.approx(spent["cheap"], abs=0.2)
            before = dict(spent)
    assert spent["late"] == pytest.approx(spent["dear"] - before["dear"], abs=0.3)
    assert turns.next(["late"]) == "late"


@pytest.fixture
def begun():
    engines = []

    def begin(**options):
        engine = Engine(**options)
        engine.start()
        engines.append(engine)
        return engine

    yield begin
    for engine in engines:
        engine.drain()
        assert engine.join(5)


def asked(artist, name, rows, **options):
    over = threading.Event()
    order = FakeOrder(name, rows, **options)
    picture = Picture(artist, order, rows, on_change=lambda one: one.over and over.set())
    picture.wait = lambda: over.wait(5) or pytest.fail(f"{name} is {picture.state}")
    return picture


def held(engine, artist, *pictures):
    """Submits pictures while the device stands still, then lets it go on."""
    artist.gate.clear()
    engine.submit(pictures)
    artist.gate.set()
    for picture in pictures:
        picture.wait()


def test_pictures_of_any_length_join_where_one_leaves(begun):
    artist = FakeArtist(places=2)
    engine = begun()
    pictures = [asked(artist, name, rows) for name, rows in (("a", 5), ("b", 2), ("c", 3))]
    held(engine, artist, *pictures)
    assert [one.state for one in pictures] == [DONE] * 3
    assert artist.ticks == [("a", "b")] * 2 + [("a", "c")] * 3
    assert [int(one.image[0, 0, 0]) for one in pictures] == [5, 2, 3]
    assert engine.calls == 5


def test_batches_of_several_kinds_take_turns_and_too_many_wait(begun):
    artist = FakeArtist(places=2)
    engine = begun(most_batches=2)
    kinds = [("a1", "a"), ("b1", "b"), ("c1", "c"), ("a2", "a"), ("c2", "c")]
    pictures = [asked(artist, name, 4, kind=kind) for name, kind in kinds]
    held(engine, artist, *pictures)
    assert [one.state for one in pictures] == [DONE] * 5
    # a2 came after c1, for which there was no batch yet: it did not overtake.
    assert artist.joined.index("c1") < artist.joined.index("a2")
    assert not any({"a1", "b1"} <= set(tick) for tick in artist.ticks)


def test_the_queue_is_bounded_and_a_place_in_it_known(begun):
    artist = FakeArtist(places=1)
    artist.gate.clear()
    engine = begun(most_waiting=2)
    first = asked(artist, "a", 1)
    engine.submit([first])
    while engine.waiting:
        time.sleep(0.001)
    waiting = [asked(artist, name, 1) for name in "bc"]
    engine.submit(waiting)
    with pytest.raises(Full) as full:
        engine.submit([asked(artist, "d", 1)])
    assert full.value.seconds >= 1
    assert [engine.position(one) for one in (first, *waiting)] == [None, 0, 1]
    artist.gate.set()
    waiting[1].wait()


def test_cancelled_late_and_broken_pictures_end_alone(begun):
    artist = FakeArtist(places=4)
    engine = begun()
    good, nan = asked(artist, "good", 6), asked(artist, "nan", 6, nan_after=2)
    late, unwanted = asked(artist, "late", 6), asked(artist, "unwanted", 6)
    late.deadline = time.monotonic() - 1
    engine.cancel(unwanted)
    held(engine, artist, good, nan, late, unwanted)
    assert [one.state for one in (good, nan, late, unwanted)] == [DONE, FAILED, FAILED, CANCELLED]
    assert "not finite after row" in nan.error
    assert late.expired
    assert "deadline" in late.error
    assert not any({"late", "unwanted"} & set(tick) for tick in artist.ticks)


def test_a_second_pass_goes_on_in_a_batch_of_its_kind(begun):
    artist = FakeArtist(places=2)
    engine = begun()
    later = FakeOrder("second", 2, kind="large")
    picture = asked(artist, "first", 3, later=later)
    picture.rows, picture.watched, picture.partials_at = 5, True, frozenset({1, 4})
    held(engine, artist, picture)
    assert artist.ticks == [("first",)] * 3 + [("second",)] * 2
    assert picture.row == 5
    assert len(picture.partials) == 2
    assert picture.preview is not None


def test_draining_finishes_what_is_drawn_and_leaves_what_waits():
    artist = FakeArtist(places=1)
    artist.gate.clear()
    engine = Engine()
    engine.start()
    drawn, waiting = asked(artist, "a", 3), asked(artist, "b", 1)
    engine.submit([drawn, waiting])
    while engine.waiting > 1:
        time.sleep(0.001)
    engine.drain()
    with pytest.raises(Draining):
        engine.submit([asked(artist, "c", 1)])
    artist.gate.set()
    assert engine.join(5)
    assert (drawn.state, waiting.state) == (DONE, QUEUED)


def test_an_error_of_the_network_ends_its_pictures_and_not_the_engine(begun):
    artist = FakeArtist()
    engine = begun()
    artist.batch, batch = lambda order: 1 / 0, artist.batch
    bad = asked(artist, "bad", 2)
    held(engine, artist, bad)
    assert (bad.state, bad.error) == (FAILED, "division by zero")
    artist.batch = batch
    good = asked(artist, "good", 2)
    held(engine, artist, good)
    assert good.state == DONE
    assert np.unique(good.image).tolist() == [2]
