"""What files of ComfyUI's editor store: nodes, links, subgraphs, the values of fields."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Table = Mapping[str, Any]
Origin = tuple[str, int]
"""The node that a link comes from, and the slot of its output."""

MUTED, BYPASSED = 2, 4
MOST_INPUTS = 1_000
LONGEST_ID = 100
OUTPUTS = "-20"
"""The id under which links lead out of a subgraph."""


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


def part_of(table: Table) -> Part:
    """What a file, or one of its subgraphs, stores.

    Raises:
      ValueError: a node that can be none.
    """
    links = listed(table.get("links"))
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
    ends = {slot: str(one.get("name")) for slot, one in enumerate(tables_in(table.get("inputs")))}
    nodes = [_stored(one, origins) for one in tables_in(table.get("nodes"))]
    return Part([one for one in nodes if one is not None], ends, passes)


def _stored(table: Table, origins: Mapping[int, Origin]) -> Stored | None:
    name, kind, inputs = table.get("id"), table.get("type"), tables_in(table.get("inputs"))
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


def given_to(own: Stored, key: str) -> list[Any] | None:
    """The value that a node gives to an input of the subgraph that it stands for, in a list.

    Its fields are those of its own inputs, and of nodes inside. Files list the values of all of
    them, or of the first ones alone. None where there is none: then the value inside holds.

    Raises:
      ValueError: the values do not fit its fields.
    """
    fields = [str(one.get("name")) for one in tables_in(own.table.get("inputs")) if "widget" in one]
    properties = own.table.get("properties")
    shown = listed(properties.get("proxyWidgets")) if isinstance(properties, dict) else []
    pairs = [one for one in shown if isinstance(one, list) and len(one) == 2]
    both = [str(name) if str(node) == "-1" else "" for node, name in pairs]
    named = "widgets_values_named" in own.table
    count = len(listed(own.table.get("widgets_values")))
    fitting = [names for names in (both, fields) if len(names) == count]
    if key in fields and count and not fitting and not named:
        raise ValueError(
            f"node {own.id}, a subgraph, has {count} values for {len(both) or len(fields)} "
            "fields; open the file in ComfyUI and save it again"
        )
    values = values_of(own.table, *fitting[:1])
    return [values[key]] if key in values else None


def values_of(table: Table, names: Sequence[str] = ()) -> dict[str, Any]:
    """The values of a node's fields by name."""
    if isinstance(table.get("widgets_values_named"), dict):
        return dict(table["widgets_values_named"])
    values = table.get("widgets_values")
    if isinstance(values, dict):
        return dict(values)
    return {key: value for key, value in zip(names, listed(values), strict=False) if key}


def listed(value: Any) -> list[Any]:
    """A list, empty where the value is none."""
    return value if isinstance(value, list) else []


def tables_in(value: Any) -> list[dict[str, Any]]:
    """The tables in a list."""
    return [one for one in listed(value) if isinstance(one, dict)]
