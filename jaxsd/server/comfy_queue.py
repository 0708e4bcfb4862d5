"""Graphs that wait, the thread that runs them, and what became of them."""

import gc
import itertools
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from threading import Condition, Thread
from typing import Any

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.images import jpeg_bytes, to_uint8
from jaxsd.latent_colours import coloured, latents_of
from jaxsd.server.comfy_events import Events, now
from jaxsd.server.picture import PREVIEW_EVERY
from jaxsd.types import Array
from jaxsd.workflow import Cache, Graph, Node, Workspace, run_graph
from jaxsd.workflow.workspace import TEMPORARY

MOST_WAITING = 1000
MOST_HISTORY = 1000
"""Prompts that are remembered; ComfyUI keeps ten thousand, and both forget all at the end."""
NO_PREVIEWS = (None, "", "none", "default")


class Interrupted(Exception):
    """Somebody wants no more of a graph."""


@dataclass(eq=False)
class Prompt:
    """A graph that a client sent.

    Attributes:
      number: its place in the line; the smallest is next.
      table: as it was sent.
      extra: what else was sent, such as the editor's graph for saved pictures.
      graph: the nodes that run.
      outputs: nodes for whose sake it runs.
      client: to whom events go; None for all.
      made: by output node, its files.
      messages: events, for the history.
    """

    number: float
    id: str
    table: dict[str, Any]
    extra: dict[str, Any]
    graph: Graph
    outputs: list[str]
    client: str | None
    made: dict[str, Any] = field(default_factory=dict)
    messages: list[Any] = field(default_factory=list)
    unwanted: bool = False
    began: int | None = None

    @property
    def told(self) -> list[Any]:
        """As the queue and the history show it."""
        return [self.number, self.id, self.table, self.extra, self.outputs]


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
            self.say(prompt, "executing", {"node": None})

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
        show = _Showing(self, prompt)
        prompt.began = now()
        self.say(prompt, "execution_start", self.noted(prompt, "execution_start", {}))
        place = replace(
            self.place,
            progress=show.progress,
            shows=show.preview,
            texts={"prompt": prompt.table} | (prompt.extra.get("extra_pnginfo") or {}),
            written=[],
        )
        show.place = place
        told: dict[str, Any] = {}
        try:
            run_graph(
                prompt.graph, place, self._cache, show.begins, show.ends, show.keeps, most_kept=0
            )
            event = "execution_success"
        except Interrupted:
            event, told = "execution_interrupted", show.where() | {"executed": show.done}
        except Exception as error:  # of this graph alone
            event, told = "execution_error", show.where() | _told_error(error, show.done)
        told = self.noted(prompt, event, told)
        with self._changed:
            self.history[prompt.id] = _remembered(prompt, event == "execution_success")
            for old in list(self.history)[:-MOST_HISTORY]:
                del self.history[old]
            self.running = None
        # Clients ask for the history as soon as they hear of the end.
        self.events.tell(event, told, prompt.client)

    def noted(self, prompt: Prompt, event: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """An event that the history keeps."""
        told = {"prompt_id": prompt.id, **data, "timestamp": now()}
        prompt.messages.append([event, told])
        return told

    def say(self, prompt: Prompt, event: str, data: Mapping[str, Any]) -> None:
        """Tells the client of a prompt an event."""
        self.events.tell(event, {"prompt_id": prompt.id, **data}, prompt.client)


class _Showing:
    """Tells clients how far a graph is."""

    def __init__(self, queue: ComfyQueue, prompt: Prompt) -> None:
        self.queue, self.prompt, self.place = queue, prompt, queue.place
        self.node, self.done, self.shown = "", [], 0.0
        self.states: dict[str, Any] = {}

    def where(self) -> dict[str, Any]:
        """The node that runs."""
        kind = self.prompt.graph[self.node].kind if self.node else ""
        return {"node_id": self.node, "node_type": kind}

    def keeps(self, names: list[str]) -> None:
        """Nodes whose results are there."""
        self.done += names
        told = self.queue.noted(self.prompt, "execution_cached", {"nodes": names})
        self._say("execution_cached", told)

    def begins(self, name: str, node: Node) -> None:
        """A node begins to run."""
        self._stop()
        self.node = name
        self._say("executing", {"node": name, "display_node": name})
        self._state(0, 1, "running")

    def ends(self, name: str, node: Node) -> None:
        """A node has run; tells the files that it wrote."""
        self.done.append(name)
        self._state(1, 1, "finished")
        if not self.place.written:
            return
        images = [_named(path, self.place) for path in self.place.written]
        self.place.written.clear()
        self.prompt.made[name] = {"images": images}
        output = {"node": name, "display_node": name, "output": {"images": images}}
        self._say("executed", output)

    def progress(self, done: int, rows: int) -> None:
        """Calls of the network that are done of a sampler."""
        self._stop()
        self._say("progress", {"value": done, "max": rows, "node": self.node})
        self._state(done, rows, "running")

    def preview(self, spec: ModelSpec, estimate: Array) -> None:
        """What the picture may become, a pixel for each latent; of some models nothing."""
        if time.monotonic() - self.shown < PREVIEW_EVERY or (name := latents_of(spec)) is None:
            return
        self.shown = time.monotonic()
        jpeg = jpeg_bytes(to_uint8(coloured(np.asarray(estimate[:1]), name))[0])
        asked = self.prompt.extra.get("preview_method") not in NO_PREVIEWS
        about = self._about(self.node) | {"prompt_id": self.prompt.id}
        self.queue.events.show(jpeg, about, self.prompt.client, asked=asked)

    def _stop(self) -> None:
        if self.prompt.unwanted:
            raise Interrupted

    def _say(self, event: str, data: Mapping[str, Any]) -> None:
        self.queue.say(self.prompt, event, data)

    def _state(self, value: int, most: int, state: str) -> None:
        own = {"value": value, "max": most, "state": state, "prompt_id": self.prompt.id}
        self.states[self.node] = own | self._about(self.node)
        self._say("progress_state", {"nodes": self.states})

    @staticmethod
    def _about(name: str) -> dict[str, Any]:
        same = dict.fromkeys(("node_id", "display_node_id", "real_node_id"), name)
        return same | {"parent_node_id": None}


def _named(path: Any, place: Workspace) -> dict[str, str]:
    """A file of a graph as clients ask for it."""
    base, kind = place.outputs.resolve(), "output"
    if path.is_relative_to(base / TEMPORARY):
        base, kind = base / TEMPORARY, "temp"
    folder = path.parent.relative_to(base).as_posix()
    return {"filename": path.name, "subfolder": "" if folder == "." else folder, "type": kind}


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
    meta = {name: _Showing._about(name) | {"display_node": name} for name in prompt.made}
    return {"prompt": prompt.told, "outputs": prompt.made, "status": status, "meta": meta}
