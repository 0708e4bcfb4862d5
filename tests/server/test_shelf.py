"""Models that make room for each other, with artists that have a size and no weights."""

import asyncio

import httpx
import pytest
from fake_artist import FakeArtist
from tiny_models import TINY

from jaxsd.server.served import Served, served_recipe
from jaxsd.server.shelf import Shelf


def model(name, size, log):
    def load():
        log.append(name)
        artist = FakeArtist()
        artist.size = size
        return artist

    return Served(name, TINY["sd1"], load, served_recipe(name, "float32"), size=size)


def test_what_was_not_used_for_longest_makes_room():
    log = []
    a, b, c = (model(name, 4, log) for name in "abc")

    async def run():
        shelf = Shelf(budget=10)
        assert [one.name for one in shelf.fill([a, b, c])] == ["a", "b"]
        for one in (a, b, a, c, a, b):  # c needs the room of b, and b that of c
            await shelf.take(one, 1)
            shelf.give_back(one.name)
        assert [shelf.has(name) for name in "abc"] == [True, True, False]
        shelf.close()

    asyncio.run(run())
    assert log == ["a", "b", "c", "b"]


def test_nothing_is_taken_from_who_uses_it_and_everybody_has_a_turn():
    log, order = [], []
    a, b = (model(name, 8, log) for name in "ab")

    async def use(shelf, one, label):
        await shelf.take(one, 2)
        order.append(label)

    async def run():
        shelf = Shelf(budget=10)
        await use(shelf, a, "a1")
        waits = [asyncio.create_task(use(shelf, b, "b"))]
        await asyncio.sleep(0)
        waits.append(asyncio.create_task(use(shelf, a, "a2")))  # a is still there, and must leave
        await asyncio.sleep(0.01)
        assert order == ["a1"]
        shelf.give_back("a", 1)
        await asyncio.sleep(0.01)
        assert order == ["a1"]
        shelf.give_back("a", 1)
        await waits[0]
        assert (shelf.has("a"), shelf.has("b"), order) == (False, True, ["a1", "b"])
        shelf.give_back("b", 2)
        await waits[1]
        shelf.close()

    asyncio.run(run())
    assert (log, order) == (["a", "b", "a"], ["a1", "b", "a2"])


def test_a_model_that_can_not_be_loaded_or_never_fits(server):
    with pytest.raises(ValueError, match=r"--memory 1e-08 is too little for model a, .* 2e-08 GB"):
        Shelf(budget=10).check([model("a", 20, [])])
    broken = Served("broken", TINY["sd1"], lambda: 1 / 0, served_recipe("x", "float32"))
    server.service.models["broken"] = broken
    asked = {"prompt": "a", "size": "64x64"}
    with httpx.Client(base_url=server.url) as client:
        answer = client.post("/v1/images/generations", json=asked | {"model": "broken"})
        assert answer.status_code == 500
        assert "model broken can not be loaded: division by zero" in answer.text
        assert client.post("/v1/images/generations", json=asked).status_code == 200
