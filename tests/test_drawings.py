"""How a command has weights in memory, and what it prepares beside."""

import pytest

import jaxsd.drawings as drawings
from jaxsd.canvases import Pictures
from jaxsd.families import EMOJI
from jaxsd.settings import Control, Settings, checked


class Stopped(Exception):
    """Nothing has to be loaded to see how it would be."""


@pytest.mark.parametrize(
    ("options", "count", "low", "want"),
    [
        ({}, 1, False, {"low_memory": True, "sparing": False}),
        ({}, 8, False, {"low_memory": True, "sparing": False}),
        ({}, 9, False, {"sparing": False}),  # a second call would read the files again
        ({}, 9, True, {"low_memory": True, "sparing": True}),
        ({"hires": 2.0}, 1, False, {"sparing": False}),  # and so would a second pass
        ({"hires": 2.0}, 1, True, {"low_memory": True, "sparing": True}),
        ({"control": (Control("a.png", "edges"),)}, 1, False, {"sparing": False}),
    ],
)
def test_weights_are_read_when_they_run_where_each_network_has_one_call(
    monkeypatch, options, count, low, want
):
    seen = {}

    def with_programs(*_, ahead, **given):
        seen.update(given)
        raise Stopped

    monkeypatch.setattr(drawings, "with_programs", with_programs)
    monkeypatch.setattr("jaxsd.pipeline.check_adapters", lambda *_: None)
    one = checked(Settings("a", **options), EMOJI)
    drawing = drawings.draw(
        "emoji",
        EMOJI,
        [one] * count,
        Pictures(),
        progress=lambda done, rows: None,
        say=print,
        low_memory=low,
    )
    with pytest.raises(Stopped):
        next(drawing)
    assert seen == want


def test_programs_are_prepared_beside_while_weights_wait_in_their_files(monkeypatch):
    prepared, drawn = [], []

    class Outline:
        def order(self, *_, **__):
            return "order"

        def prepare_parts(self, order):
            prepared.append(order)

    class Pipe(Outline):
        def drawn(self, *_, **__):
            drawn.append(1)

        def pictures(self, *_):
            return ["picture"]

    def with_programs(*_, ahead, **__):
        ahead(Outline())
        return Pipe()

    monkeypatch.setattr(drawings, "with_programs", with_programs)
    monkeypatch.setattr("jaxsd.pipeline.check_adapters", lambda *_: None)
    one = checked(Settings("a"), EMOJI)
    told = {"progress": lambda done, rows: None, "say": print}
    assert list(drawings.draw("emoji", EMOJI, [one], Pictures(), **told)) == ["picture"]
    assert (prepared, drawn) == (["order"], [1])
