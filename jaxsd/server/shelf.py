"""Models in memory: where they do not all fit, those that nobody used for longest make room."""

import asyncio
import gc
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from jaxsd.executables import give_back_memory
from jaxsd.server.served import Served


@dataclass
class Shelf:
    """What is loaded. Its methods are for one thread, that of the event loop.

    Attributes:
      budget: bytes that weights on a device may take; None for any.
      loads: how many models were loaded.
    """

    budget: int | None = None
    loads: int = 0

    def __post_init__(self) -> None:
        self._there: dict[str, Any] = {}  # name -> artist, the one used last at the end
        self._uses: Counter[str] = Counter()
        self._leaving: set[str] = set()
        self._turn, self._given_back = asyncio.Lock(), asyncio.Event()
        self._loader = ThreadPoolExecutor(1, "loader")

    def check(self, models: Sequence[Served]) -> None:
        """Finds out whether each model fits alone.

        Raises:
          ValueError: naming one that does not.
        """
        for one in models:
            if self.budget is not None and one.size > self.budget:
                raise ValueError(
                    f"--memory {self.budget / 1e9:.3g} is too little for model {one.name}, whose "
                    f"weights take {one.size / 1e9:.3g} GB; give more"
                )

    def fill(self, models: Sequence[Served]) -> Iterator[Served]:
        """Loads models in their order until one has no room; waits for each."""
        for one in models:
            if self._lacks_room(one):
                return
            self._there[one.name] = one.load()
            self.loads += 1
            yield one

    async def take(self, model: Served, count: int) -> Any:
        """The artist of a model, loaded if need be, for so many pictures.

        Those that need a model which is not there are served in the order in which they came, and
        take nothing from it before it is needed by none: so each has its turn.

        Raises:
          ValueError: it can not be loaded.
        """
        name = model.name
        if name not in self._there or name in self._leaving:
            async with self._turn:
                if name not in self._there:
                    await self._make_room(model)
                    loop = asyncio.get_running_loop()
                    self._there[name] = await loop.run_in_executor(self._loader, model.load)
                    self.loads += 1
        self._uses[name] += count
        self._there[name] = self._there.pop(name)
        return self._there[name]

    def give_back(self, name: str, count: int = 1) -> None:
        """So many pictures of a model are over."""
        self._uses[name] -= count
        self._given_back.set()

    def artist(self, model: Served) -> Any:
        """The artist of a model that is in memory."""
        return self._there[model.name]

    def has(self, name: str) -> bool:
        """Whether a model is in memory."""
        return name in self._there

    def pipe(self, name: str | None) -> Any:
        """The pipeline of a model; None where it is not in memory. For any thread."""
        artist = self._there.get(name)
        return artist and artist.pipe

    def close(self) -> None:
        """Ends the thread that loads."""
        self._loader.shutdown()

    def _lacks_room(self, model: Served) -> bool:
        there = sum(artist.size for artist in self._there.values())
        return self.budget is not None and bool(there) and there + model.size > self.budget

    async def _make_room(self, model: Served) -> None:
        while self._lacks_room(model):
            longest = min(self._there, key=lambda name: self._uses[name] > 0)
            self._leaving.add(longest)
            while self._uses[longest]:
                self._given_back.clear()
                await self._given_back.wait()
            gone = [weakref.ref(pipe) for pipe in self._there.pop(longest).pipes]
            self._leaving.discard(longest)
            await asyncio.get_running_loop().run_in_executor(self._loader, _free, gone)


def _free(gone: Sequence[weakref.ref]) -> None:
    """Returns the memory of pipelines to the system.

    Nothing holds them any more, unless it is garbage. To search for that takes a sixth of a second,
    in which no other thread runs, so it is searched for only where they are still there.
    """
    if any(pipe() is not None for pipe in gone):
        gc.unfreeze()  # see `jaxsd.drawings.with_programs`
        gc.collect()
    give_back_memory()
