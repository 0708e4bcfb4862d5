"""Exponents are those of the work, and every way to measure runs."""

import json
import sys

import measure_growth
import numpy as np
import pytest
from measure_growth import MEASURES, Measure, exponent, measured, plot, table, work_of

BY_NAME = {
    "words of a prompt",
    "wildcards",
    "LoRAs",
    "pictures: info",
    "pictures: map",
    "nodes of a graph",
    "rows of a bulk run: planned",
    "jobs of a server: kept in its file",
    "jobs of a server: the last ones listed",
    "jobs of a server: in its line",
}


def test_the_exponent_is_that_of_a_power_and_does_not_know_the_machine():
    sizes = [1, 2, 5, 20]
    for power in (0.0, 1.0, 1.5, 2.0):
        for machine in (1e-6, 3.0):
            seconds = [machine * size**power for size in sizes]
            assert exponent(sizes, seconds) == pytest.approx(power, abs=1e-12)


def test_every_size_runs_once_for_nothing_and_its_shortest_time_counts(monkeypatch):
    # Of size 1: 9 s for nothing, then 4 and 3. Of size 8: 60 s, which is long.
    ran, clock, said = [], iter([0, 9, 10, 14, 15, 18, 20, 80]), []
    monkeypatch.setattr(measure_growth.time, "process_time", lambda: next(clock))
    one = Measure("things", (1, 8), lambda size: lambda: ran.append(size), 1)
    want = {"sizes": [1, 8], "seconds": [3, 60], "work": 1}
    assert measured(one, 2, said.append) == want
    assert ran == [1, 1, 1, 8]
    assert said[0] == "things 1: 3 s; about 72 s left of these"  # 8 times the work, three runs
    counted = one._replace(work=lambda size: 5.0 * size**1.5)
    assert work_of(counted) == pytest.approx(1.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_measures_run(name):
    """A small and a larger size: what is timed runs twice, to results of its own."""
    for size in MEASURES[name].sizes[:2]:
        run = MEASURES[name].prepared(size)
        run()
        run()


def test_what_is_found_is_added_to_a_file_shown_and_judged(tmp_path, monkeypatch, capsys):
    quick = {
        "a: good": Measure("a", (1, 10), lambda size: lambda: None, 1),
        "a: bad": Measure("a", (1, 10), lambda size: lambda: None, 1),
    }
    monkeypatch.setattr(measure_growth, "MEASURES", quick)
    found = {"a: good": [1, 10.0], "a: bad": [1, 100.0]}
    times = {id(one): found[name] for name, one in quick.items()}
    monkeypatch.setattr(
        measure_growth,
        "measured",
        lambda one, rounds, say: {"sizes": one.sizes, "seconds": times[id(one)], "work": one.work},
    )
    monkeypatch.setattr(
        measure_growth, "plot", lambda found, path: path.write_text(str(len(found)))
    )
    out, picture = tmp_path / "growth.json", tmp_path / "growth.png"
    for name, status in (("a: good", None), ("a: bad", "faster than their work: a: bad")):
        monkeypatch.setattr(
            sys, "argv", ["measure_growth", name, "--out", str(out), "--plot", str(picture)]
        )
        if status is None:
            measure_growth.main()
        else:
            with pytest.raises(SystemExit, match=status):
                measure_growth.main()
    assert set(json.loads(out.read_text())) == set(quick)
    assert picture.read_text() == "2"
    assert "| a: bad | 1 | 10 | 1 to 100 | 2.00 | 2.00 | 1.00 |" in capsys.readouterr().out


def test_the_picture_has_a_panel_for_each_axis(tmp_path):
    pytest.importorskip("matplotlib")
    found = {
        name: {"sizes": [1, 10, 100], "seconds": list(np.array([1, 10, 100]) * scale)}
        for name, scale in (("rows: read", 1e-3), ("rows: written", 1e-2), ("steps", 1.0))
    }
    plot(found, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 10_000
    assert len(table(found).splitlines()) == 5
