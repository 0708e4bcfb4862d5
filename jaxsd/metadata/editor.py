"""Files of ComfyUI's editor in the API's form: fields get names, links lead to nodes that run.

Muted nodes and their outputs are left out, bypassed ones pass on their input of the same type,
reroutes and primitives disappear, and subgraphs are put in place of the nodes that stand for them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

Table = Mapping[str, Any]
Origin = tuple[str, int]
"""The node that a link comes from, and the slot of its output."""
Fields = Callable[[str], Sequence[str] | None]
"""Class -> the names of its fields in the editor's order, "" for values that are no input; None for
a class that is not known.
"""

MUTED, BYPASSED = 2, 4
NOTES = ("Note", "MarkdownNote")
DEEPEST = 50
"""Subgraphs within each other, and reroutes in a row."""
MOST_NODES = 5_000
"""Nodes of a graph, those of its subgraphs included. What people make has some 1,000 at most."""
MOST_INPUTS = 1_000
LONGEST_ID = 100
INPUTS, OUTPUTS = "-10", "-20"
"""Ids of a subgraph's own ends."""


class Stored(NamedTuple):
    """A node as the editor stores it, of `mode` muted, bypassed or another."""

    id: str
    kind: str
    mode: Any
    sources: Mapping[str, Origin]  # of the inputs that are linked
    types: Mapping[str, Any]  # of all inputs
    table: Table

    @property
    def is_off(self) -> bool:
        """Whether a run leaves it out."""
        return self.mode in (MUTED, BYPASSED)


class Part(NamedTuple):
    """The file itself, or a subgraph."""

    nodes: Sequence[Stored]
    ends: Mapping[int, str]  # slot of an input -> its name
    passes: Mapping[int, Origin]  # slot of an output -> what it passes on


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
    listed = _tables(definitions.get("subgraphs")) if isinstance(definitions, dict) else []
    parts = {one["id"]: _part(one) for one in listed if isinstance(one.get("id"), str)}
    graph = dict(islice(_flat(_part(table), parts, "", 0), MOST_NODES + 1))
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


def _part(table: Table) -> Part:
    links = _listed(table.get("links"))
    origins = {
        link["id"] if isinstance(link, dict) else link[0]: origin
        for link in links
        if (origin := _origin(link)) is not None
    }
    passes = {
        _slot(link.get("target_slot")): origin
        for link in links
        if isinstance(link, dict) and str(link.get("target_id")) == OUTPUTS
        if (origin := _origin(link)) is not None
    }
    ends = {slot: str(one.get("name")) for slot, one in enumerate(_tables(table.get("inputs")))}
    nodes = [_stored(one, origins) for one in _tables(table.get("nodes"))]
    return Part([one for one in nodes if one is not None], ends, passes)


def _stored(table: Table, origins: Mapping[int, Origin]) -> Stored | None:
    name, kind, inputs = table.get("id"), table.get("type"), _tables(table.get("inputs"))
    if not isinstance(kind, str) or not isinstance(name, int | str):
        return None
    if len(str(name)) > LONGEST_ID or len(inputs) > MOST_INPUTS:
        raise ValueError(
            f"the graph has a node with more than {MOST_INPUTS} inputs, or an id of more than "
            f"{LONGEST_ID} characters"
        )
    names = {str(one.get("name")): one for one in inputs}
    linked = {key: one["link"] for key, one in names.items() if isinstance(one.get("link"), int)}
    sources = {key: origins[link] for key, link in linked.items() if link in origins}
    types = {key: one.get("type") for key, one in names.items()}
    return Stored(str(name), kind, table.get("mode", 0), sources, types, table)


def _origin(link: Any) -> Origin | None:
    """Where a link begins, which is a list, or in newer files a table."""
    if isinstance(link, dict):
        link = [link.get("id"), link.get("origin_id"), link.get("origin_slot")]
    if not isinstance(link, list) or len(link) < 3 or not isinstance(link[0], int):
        return None
    return (str(link[1]), _slot(link[2])) if isinstance(link[1], int | str) else None


def _slot(value: Any) -> int:
    return value if isinstance(value, int) else 0


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
    values = _values(own.table, fields_of(own.kind) or ())
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
        return _given(outer.own, key)
    name = f"{prefix}{node}"
    if (placed := graph.get(name)) is None:
        return None
    own = placed.own
    if placed.part is not None:
        inner = placed.part.passes.get(slot)
        return _resolved(graph, f"{name}:", inner, kind, depth + 1) if inner else None
    if own.kind == "PrimitiveNode":
        return _listed(own.table.get("widgets_values"))[:1] or None
    if own.mode == MUTED:
        return None
    if own.kind != "Reroute" and own.mode != BYPASSED:
        return name, slot
    outputs = dict(enumerate(_tables(own.table.get("outputs"))))
    if own.kind != "Reroute" and slot in outputs:
        kind = outputs[slot].get("type", kind)
    for key, inner in own.sources.items():
        if own.kind == "Reroute" or own.types[key] == kind:
            return _resolved(graph, prefix, inner, kind, depth + 1)
    return None


def _given(own: Stored, key: str) -> list[Any] | None:
    """The value that a node gives to an input of the subgraph that it stands for, in a list.

    Its fields are those of its own inputs, and of nodes inside. Files list the values of all of
    them, or of the first ones alone. None where there is none: then the value inside holds.

    Raises:
      ValueError: the values do not fit its fields.
    """
    fields = [str(one.get("name")) for one in _tables(own.table.get("inputs")) if "widget" in one]
    properties = own.table.get("properties")
    shown = _listed(properties.get("proxyWidgets")) if isinstance(properties, dict) else []
    pairs = [one for one in shown if isinstance(one, list) and len(one) == 2]
    both = [str(name) if str(node) == "-1" else "" for node, name in pairs]
    named = "widgets_values_named" in own.table
    count = len(_listed(own.table.get("widgets_values")))
    fitting = [names for names in (both, fields) if len(names) == count]
    if key in fields and count and not fitting and not named:
        raise ValueError(
            f"node {own.id}, a subgraph, has {count} values for {len(both) or len(fields)} "
            "fields; open the file in ComfyUI and save it again"
        )
    values = _values(own.table, *fitting[:1])
    return [values[key]] if key in values else None


def _values(table: Table, names: Sequence[str] = ()) -> dict[str, Any]:
    """The values of a node's fields by name."""
    if isinstance(table.get("widgets_values_named"), dict):
        return dict(table["widgets_values_named"])
    values = table.get("widgets_values")
    if isinstance(values, dict):
        return dict(values)
    return {key: value for key, value in zip(names, _listed(values), strict=False) if key}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _tables(value: Any) -> list[dict[str, Any]]:
    return [one for one in _listed(value) if isinstance(one, dict)]
