"""Graphs that wait, the thread that runs them, and what became of them."""

import gc
import itertools
from collections.abc import Collection
from threading import Condition, Thread
from typing import Any

from jaxsd.server.comfy_events import Events, now
from jaxsd.server.comfy_showing import Interrupted, Prompt, Showing, about
from jaxsd.workflow import Cache, Workspace, run_graph

MOST_WAITING = 1000
MOST_HISTORY = 1000
"""Prompts that are remembered; ComfyUI keeps ten thousand, and both forget all at the end."""


class ComfyQueue:
    """One thread that runs one graph after another, with what it remembers of the last."""

    def __init__(self, place: Workspace, events: Events) -> None:
        """Begins nothing.

        Args:
          place: folders and models of all graphs.
          events: where clients are told.
        """
        self.place, self.events = place, events
        self.history: dict[str, dict[str, Any]] = {}
        self.running: Prompt | None = None
        self._waiting: list[Prompt] = []
        self._numbers = itertools.count()
        self._changed, self._draining, self._free = Condition(), False, False
        self._cache: Cache = {}
        self._thread = Thread(target=self._run, name="graphs", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def drain(self) -> None:
        """Takes nothing more, and ends when the graph that runs is done; what waits is left."""
        with self._changed:
            self._draining = True
            self._changed.notify()

    def join(self, seconds: float) -> bool:
        """Waits for the end; whether it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def draining(self) -> bool:
        """Whether it is about to end."""
        return self._draining

    @property
    def waiting(self) -> list[Prompt]:
        """In the order in which they will run."""
        return sorted(self._waiting, key=lambda one: one.number)

    @property
    def full(self) -> bool:
        """Whether no more may wait."""
        return len(self._waiting) >= MOST_WAITING

    def status(self) -> dict[str, Any]:
        """How many are left."""
        left = len(self._waiting) + (self.running is not None)
        return {"exec_info": {"queue_remaining": left}}

    def number(self, given: float | None, *, front: bool) -> float:
        """The place in the line of a new prompt."""
        own = next(self._numbers)
        if given is not None:
            return given
        return -own if front else own

    def put(self, prompt: Prompt) -> None:
        """Puts a prompt into the line."""
        with self._changed:
            self._waiting.append(prompt)
            self._changed.notify()
        self._tell_status()

    def drop(self, ids: Collection[str] | None) -> None:
        """Takes prompts out of the line, all without ids."""
        with self._changed:
            self._waiting = [one for one in self._waiting if ids is not None and one.id not in ids]
        self._tell_status()

    def interrupt(self, id: str | None = None) -> bool:
        """Ends the graph that runs before its next row, if it is the one of this id."""
        running = self.running
        if running is None or id not in (None, running.id):
            return False
        running.unwanted = True
        return True

    def cancel(self, id: str) -> bool:
        """Ends a graph that runs or waits; whether there was one."""
        is_there = any(one.id == id for one in self._waiting)
        self.drop([id])
        return self.interrupt(id) or is_there

    def free(self) -> None:
        """Forgets models and results as soon as nothing runs."""
        with self._changed:
            self._free = True
            self._changed.notify()

    def _tell_status(self) -> None:
        self.events.tell("status", {"status": self.status()})

    def _run(self) -> None:
        while (prompt := self._next()) is not None:
            self._tell_status()
            self._draw(prompt)
            self._tell_status()
            over = {"prompt_id": prompt.id, "node": None}
            self.events.tell("executing", over, prompt.client)

    def _next(self) -> Prompt | None:
        with self._changed:
            while True:
                if self._free:
                    self._free = False
                    self._cache.clear()
                    gc.collect()
                if self._draining:
                    return None
                if self._waiting:
                    self.running = min(self._waiting, key=lambda one: one.number)
                    self._waiting.remove(self.running)
                    return self.running
                self._changed.wait()

    def _draw(self, prompt: Prompt) -> None:
        show = Showing(self.events, prompt, self.place)
        prompt.began = now()
        self.events.tell("execution_start", prompt.noted("execution_start", {}), prompt.client)
        told: dict[str, Any] = {}
        try:
            watched = show.begins, show.ends, show.keeps
            run_graph(prompt.graph, show.place, self._cache, *watched, most_kept=0)
            event = "execution_success"
        except Interrupted:
            event, told = "execution_interrupted", show.where() | {"executed": show.done}
        except Exception as error:  # of this graph alone
            event, told = "execution_error", show.where() | _told_error(error, show.done)
        told = prompt.noted(event, told)
        with self._changed:
            self.history[prompt.id] = _remembered(prompt, event == "execution_success")
            for old in list(self.history)[:-MOST_HISTORY]:
                del self.history[old]
            self.running = None
        # Clients ask for the history as soon as they hear of the end.
        self.events.tell(event, told, prompt.client)


def _told_error(error: Exception, done: list[str]) -> dict[str, Any]:
    return {
        "executed": done,
        "exception_message": str(error).partition("\n")[0],
        "exception_type": type(error).__name__,
        "traceback": [],
        "current_inputs": {},
        "current_outputs": done,
    }


def _remembered(prompt: Prompt, good: bool) -> dict[str, Any]:
    """What the history keeps of a prompt."""
    state = "success" if good else "error"
    status = {"status_str": state, "completed": good, "messages": prompt.messages}
    meta = {name: about(name) | {"display_node": name} for name in prompt.made}
    return {"prompt": prompt.told, "outputs": prompt.made, "status": status, "meta": meta}
