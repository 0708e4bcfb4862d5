import itertools
import threading
import time
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from fake_artist import FakeArtist, FakeBatch, FakeOrder

from jaxsd.server.engine import Draining, Engine, Full
from jaxsd.server.line import HEAD_START
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


def test_what_a_decoder_cannot_hold_is_decoded_once_more_in_float32(begun):
    artist = FakeArtist(places=2)
    large, plain = asked(artist, "large", 2, overflows=True), asked(artist, "plain", 2)
    held(begun(), artist, large, plain)
    assert (large.state, plain.state) == (DONE, DONE)
    assert (large.decoded_in, plain.decoded_in) == ("float32", "")
    assert np.unique(large.image).tolist() == [0]


def test_a_picture_that_is_not_finite_in_the_end_fails_alone(begun):
    artist = FakeArtist(places=1)
    nan, good = asked(artist, "nan", 3, nan_after=3), asked(artist, "good", 2)
    held(begun(), artist, nan, good)
    assert (nan.state, good.state) == (FAILED, DONE)
    assert nan.error == "the latents were not finite after row 3 of 3"
    assert artist.ticks == [("nan",)] * 3 + [("good",)] * 2
    assert np.unique(good.image).tolist() == [2]


def test_the_device_goes_on_while_a_picture_is_decoded(begun):
    said = []

    class Image(NamedTuple):
        pixels: np.ndarray

        def __array__(self, dtype=None, copy=None):
            said.append("looks")
            return self.pixels

    class Decoding(FakeBatch):
        def tick(self):
            said.append("ticks")
            return super().tick()

        def decoded(self, latents):
            said.append("decodes")
            return Image(super().decoded(latents))

    artist = FakeArtist(places=1)
    artist.batch = lambda *_: Decoding(artist)
    pictures = [asked(artist, name, 2) for name in "ab"]
    held(begun(), artist, *pictures)
    assert [np.unique(one.image).tolist() for one in pictures] == [[2], [2]]
    assert Counter(said) == {"ticks": 4, "decodes": 2, "looks": 2}
    assert said[said.index("decodes") + 1] != "looks"


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
    artist.batch, batch = lambda *_: 1 / 0, artist.batch
    bad = asked(artist, "bad", 2)
    held(engine, artist, bad)
    assert (bad.state, bad.error) == (FAILED, "division by zero")
    artist.batch = batch
    good = asked(artist, "good", 2)
    held(engine, artist, good)
    assert good.state == DONE
    assert np.unique(good.image).tolist() == [2]


class Clock:
    """A clock that goes on by a second with each call of an artist's network."""

    def __init__(self, artist):
        self.artist = artist

    def __call__(self):
        return float(len(self.artist.ticks))


def test_priorities_are_a_head_start_and_starve_nobody(begun):
    artist = FakeArtist(places=1)
    engine = begun(clock=Clock(artist), most_waiting=1000)
    count = 3 * int(HEAD_START)
    urgent, low = [asked(artist, f"urgent {i}", 1) for i in range(count)], asked(artist, "low", 1)
    following = dict(itertools.pairwise(urgent))

    def next_one(picture):  # whenever an urgent one begins, one more is asked for
        if (after := following.pop(picture, None)) is not None:
            engine.submit([after])

    for one in urgent:
        one.priority, one.on_change = 1, next_one
    artist.gate.clear()
    engine.submit([asked(artist, "first", 1)])
    engine.submit([low])
    engine.submit([urgent[0]])
    artist.gate.set()
    low.wait()
    place = artist.joined.index("low")
    # It yields to all that come within the head start, and to none that comes later.
    assert HEAD_START - 2 <= place <= HEAD_START + 2
    while len(artist.joined) < count + 2:
        time.sleep(0.001)


def test_a_job_of_many_pictures_lets_others_pass(begun):
    artist = FakeArtist(places=1)
    engine = begun(clock=Clock(artist))
    engine._devices[0].turns.spent(asked(artist, "", 1).key, 4.0)  # known: 4 s for each row
    many = [asked(artist, f"many {i}", 1) for i in range(8)]
    artist.gate.clear()
    engine.submit(many)
    one = asked(artist, "one", 1)
    engine.submit([one])
    artist.gate.set()
    for picture in (*many, one):
        picture.wait()
    assert artist.joined.index("one") <= 2


def test_devices_share_a_line_and_idle_ones_take_first(begun):
    artist = FakeArtist(places=2)
    where, batch, both = set(), artist.batch, threading.Event()

    def on(order, device):
        where.add(device)
        if where == {0, 1}:
            both.set()
        return batch(order, device)

    artist.batch = on
    engine = begun(devices=2)
    pictures = [asked(artist, name, 3) for name in "abcd"]
    artist.gate.clear()
    engine.submit(pictures)
    assert both.wait(60)
    artist.gate.set()
    for picture in pictures:
        picture.wait()
    assert sum(len(tick) for tick in artist.ticks) == 12
    assert engine.calls == len(artist.ticks) < 12
    assert (engine.drawing, engine.waiting) == (0, 0)
