"""A graph that a client sent, and what clients are told while it runs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.images import jpeg_bytes, to_uint8
from jaxsd.latent_colours import coloured, latents_of
from jaxsd.server.comfy_events import Events, now
from jaxsd.server.picture import PREVIEW_EVERY
from jaxsd.types import Array
from jaxsd.workflow import Graph, Node, Workspace
from jaxsd.workflow.workspace import TEMPORARY

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

    def noted(self, event: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """An event that the history keeps."""
        told = {"prompt_id": self.id, **data, "timestamp": now()}
        self.messages.append([event, told])
        return told

    @property
    def told(self) -> list[Any]:
        """As the queue and the history show it."""
        return [self.number, self.id, self.table, self.extra, self.outputs]


class Showing:
    """Tells clients how far a graph is."""

    def __init__(self, events: Events, prompt: Prompt, place: Workspace) -> None:
        self.events, self.prompt, self.node, self.shown = events, prompt, "", 0.0
        self.done: list[str] = []
        self.states: dict[str, Any] = {}
        texts = {"prompt": prompt.table, **prompt.extra.get("extra_pnginfo", {})}
        own = {"progress": self.progress, "shows": self.preview, "texts": texts, "written": []}
        self.place = replace(place, **own)

    def where(self) -> dict[str, Any]:
        """The node that runs."""
        kind = self.prompt.graph[self.node].kind if self.node else ""
        return {"node_id": self.node, "node_type": kind}

    def keeps(self, names: list[str]) -> None:
        """Nodes whose results are there."""
        self.done += names
        self._say("execution_cached", self.prompt.noted("execution_cached", {"nodes": names}))

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
        whose = about(self.node) | {"prompt_id": self.prompt.id}
        self.events.show(jpeg, whose, self.prompt.client, asked=asked)

    def _stop(self) -> None:
        if self.prompt.unwanted:
            raise Interrupted

    def _say(self, event: str, data: Mapping[str, Any]) -> None:
        self.events.tell(event, {"prompt_id": self.prompt.id, **data}, self.prompt.client)

    def _state(self, value: int, most: int, state: str) -> None:
        own = {"value": value, "max": most, "state": state, "prompt_id": self.prompt.id}
        self.states[self.node] = own | about(self.node)
        self._say("progress_state", {"nodes": self.states})


def about(name: str) -> dict[str, Any]:
    """A node as clients know it: subgraphs, which would make a difference, are not there."""
    same = dict.fromkeys(("node_id", "display_node_id", "real_node_id"), name)
    return same | {"parent_node_id": None}


def _named(path: Path, place: Workspace) -> dict[str, str]:
    """A file of a graph as clients ask for it."""
    base, kind = place.outputs.resolve(), "output"
    if path.is_relative_to(base / TEMPORARY):
        base, kind = base / TEMPORARY, "temp"
    folder = path.parent.relative_to(base).as_posix()
    return {"filename": path.name, "subfolder": "" if folder == "." else folder, "type": kind}
