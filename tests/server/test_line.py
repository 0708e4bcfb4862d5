"""The line of pictures against one sorted list."""

import time
from types import SimpleNamespace

import numpy as np

from jaxsd.server.line import HEAD_START, Line
from jaxsd.server.picture import Picture

KIND = SimpleNamespace(key=lambda order: order)


def picture(kind: str, priority: int = 0, **more) -> Picture:
    return Picture(KIND, kind, rows=1, priority=priority, **more)


def turn(one: Picture) -> tuple[float, int]:
    return one.due, one.number


def test_kinds_wait_apart_and_turns_are_those_of_one_list() -> None:
    random, now = np.random.default_rng(0), [0.0]
    line, there = Line(lambda: now[0]), []
    for step in range(400):
        now[0] += random.uniform(0, HEAD_START)
        if there and random.random() < 0.4:
            gone = there.pop(random.integers(len(there)))
            line.take(gone)
            assert line.position(gone) is None
        else:
            new = picture("abc"[random.integers(3)], priority=int(random.integers(-2, 3)))
            line.add([new], lambda one: 1.0)
            there.append(new)
        there.sort(key=turn)
        assert list(line) == there, step
        assert len(line) == len(there)
        assert [line.position(one) for one in there] == list(range(len(there)))
        first = {}
        for one in there:
            first.setdefault(one.key, one)
        assert line.next() == list(first.values())


def test_what_nobody_wants_and_what_is_late_is_taken_out_wherever_it_waits() -> None:
    line, soon = Line(), time.monotonic() + 0.02
    kept, unwanted = picture("a"), picture("a")
    late, later = picture("b", deadline=soon), picture("b", deadline=soon + 1000)
    line.add([kept, unwanted, late, later], lambda one: 1.0)
    assert line.take_ended() == []
    unwanted.unwanted = True
    line.wake()
    assert line.take_ended() == [unwanted]
    time.sleep(0.03)
    assert line.take_ended() == [late]
    assert list(line) == [kept, later]
    line.take(kept)
    kept.unwanted, kept.before = True, 1  # cancelled while it was drawn, before its second pass
    line.put(kept)
    assert line.take_ended() == [kept]
    assert line.take_ended() == []


def test_a_closed_line_gives_all_second_passes() -> None:
    line = Line()
    pictures = [picture("a", before=before) for before in (0, 2, 3)]
    line.add(pictures, lambda one: 1.0)
    assert line.next() == pictures[:1]
    line.close()
    assert line.next() == pictures[1:]
