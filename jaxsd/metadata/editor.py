"""Files of ComfyUI's editor in the API's form: fields get names, links lead to nodes that run.

Muted nodes and their outputs are left out, bypassed ones pass on their input of the same type,
reroutes and primitives disappear, and subgraphs are put in place of the nodes that stand for them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from jaxsd.metadata.editor_file import (
    BYPASSED,
    MUTED,
    Origin,
    Part,
    Stored,
    Table,
    given_to,
    listed,
    part_of,
    tables_in,
    values_of,
)

Fields = Callable[[str], Sequence[str] | None]
"""Class -> the names of its fields in the editor's order, "" for values that are no input; None for
a class that is not known.
"""

NOTES = ("Note", "MarkdownNote")
DEEPEST = 50
"""Subgraphs within each other, and reroutes in a row."""
MOST_NODES = 5_000
"""Nodes of a graph, those of its subgraphs included. What people make has some 1,000 at most."""
INPUTS = "-10"
"""The id of what is given to a subgraph, inside of it."""


class Placed(NamedTuple):
    """A node in the whole graph; `part` is the subgraph that it stands for."""

    prefix: str  # of the ids of the nodes beside it
    own: Stored
    part: Part | None


Graph = Mapping[str, Placed]


def in_api_form(table: Table, fields_of: Fields) -> dict[str, Any]:
    """The nodes of an editor's file that a run would have, as the editor exports them.

    Raises:
      ValueError: links that go around, subgraphs that contain themselves, too many nodes, or a
        value of which it is not clear what it is for.
    """
    definitions = table.get("definitions")
    inside = tables_in(definitions.get("subgraphs")) if isinstance(definitions, dict) else []
    parts = {one["id"]: part_of(one) for one in inside if isinstance(one.get("id"), str)}
    graph = dict(islice(_flat(part_of(table), parts, "", 0), MOST_NODES + 1))
    if len(graph) > MOST_NODES:
        raise ValueError(f"the graph has more than {MOST_NODES} nodes, those of subgraphs included")
    return {
        name: {"inputs": _inputs(graph, placed, fields_of), "class_type": placed.own.kind}
        | _meta(placed.own.table)
        for name, placed in graph.items()
        if _runs(placed)
    }


def _runs(placed: Placed) -> bool:
    plain = placed.own.kind not in (*NOTES, "Reroute", "PrimitiveNode")
    return plain and not placed.own.is_off and placed.part is None


def _meta(table: Table) -> dict[str, Any]:
    return {"_meta": {"title": table["title"]}} if isinstance(table.get("title"), str) else {}


def _flat(
    part: Part, parts: Mapping[str, Part], prefix: str, depth: int
) -> Iterator[tuple[str, Placed]]:
    """The nodes of a part and of its subgraphs, by id."""
    if depth > DEEPEST:
        raise ValueError(f"the graph has subgraphs more than {DEEPEST} deep")
    for own in part.nodes:
        name, inside = f"{prefix}{own.id}", None if own.is_off else parts.get(own.kind)
        yield name, Placed(prefix, own, inside)
        if inside is not None:
            yield from _flat(inside, parts, f"{name}:", depth + 1)


def _inputs(graph: Graph, placed: Placed, fields_of: Fields) -> dict[str, Any]:
    own = placed.own
    values = values_of(own.table, fields_of(own.kind) or ())
    for key, source in own.sources.items():
        found = _resolved(graph, placed.prefix, source, own.types[key], 0)
        if isinstance(found, tuple):
            values[key] = list(found)
        elif found is not None:
            values[key] = found[0]
    return values


def _resolved(
    graph: Graph, prefix: str, source: Origin, kind: Any, depth: int
) -> Origin | list[Any] | None:
    """What a link comes from: a node's output, a value in a list, or None for nothing."""
    if depth > DEEPEST:
        raise ValueError(f"links of the graph go around, or through more than {DEEPEST} reroutes")
    node, slot = source
    if node == INPUTS and prefix:
        outer = graph[prefix[:-1]]
        key = outer.part.ends.get(slot, "")
        if key in outer.own.sources:
            return _resolved(graph, outer.prefix, outer.own.sources[key], kind, depth + 1)
        return given_to(outer.own, key)
    name = f"{prefix}{node}"
    if (placed := graph.get(name)) is None:
        return None
    own = placed.own
    if placed.part is not None:
        inner = placed.part.passes.get(slot)
        return _resolved(graph, f"{name}:", inner, kind, depth + 1) if inner else None
    if own.kind == "PrimitiveNode":
        return listed(own.table.get("widgets_values"))[:1] or None
    if own.mode == MUTED:
        return None
    if own.kind != "Reroute" and own.mode != BYPASSED:
        return name, slot
    outputs = dict(enumerate(tables_in(own.table.get("outputs"))))
    if own.kind != "Reroute" and slot in outputs:
        kind = outputs[slot].get("type", kind)
    for key, inner in own.sources.items():
        if own.kind == "Reroute" or own.types[key] == kind:
            return _resolved(graph, prefix, inner, kind, depth + 1)
    return None
