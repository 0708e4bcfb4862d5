"""The editor's files in the API's form: widgets get names, links lead to nodes that do something.

Muted nodes and their outputs are left out, bypassed ones pass on their input of the same type,
reroutes and primitives disappear, and subgraphs are put in place of the nodes that stand for them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jaxsd.workflow.schema import CLASSES, SEED, Picture

Table = Mapping[str, Any]

MUTED, BYPASSED = 2, 4
NOTES = ("Note", "MarkdownNote")
DEEPEST = 50
"""Subgraphs within each other, and reroutes in a row."""
INPUTS, OUTPUTS = "-10", "-20"
"""Ids of a subgraph's own ends."""


def in_api_form(table: Table) -> dict[str, Any]:
    """The nodes of an editor's file that a run would have, as the editor exports them.

    Raises:
      ValueError: links that go around, or subgraphs that contain themselves.
    """
    subgraphs = {
        one.get("id"): one
        for one in (table.get("definitions") or {}).get("subgraphs") or []
        if isinstance(one, dict)
    }
    nodes = dict(_flat(table, subgraphs, "", 0))
    return {
        name: {"inputs": _inputs(nodes, name), "class_type": own["type"]} | _meta(own)
        for name, own in nodes.items()
        if _runs(own)
    }


def _runs(own: Table) -> bool:
    plain = own.get("type") not in (*NOTES, "Reroute", "PrimitiveNode")
    return plain and own.get("mode", 0) not in (MUTED, BYPASSED) and "passes" not in own


def _meta(own: Table) -> dict[str, Any]:
    return {"_meta": {"title": own["title"]}} if isinstance(own.get("title"), str) else {}


def _flat(
    table: Table, subgraphs: Mapping[str, Table], prefix: str, depth: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Nodes by id, with the node and slot that each linked input comes from.

    A node that stands for a subgraph has `passes`: its outputs by slot, as nodes and slots inside.
    """
    if depth > DEEPEST:
        raise ValueError(f"the graph has subgraphs more than {DEEPEST} deep")
    links = dict(filter(None, map(_link, _listed(table.get("links")))))
    for own in _listed(table.get("nodes")):
        if not isinstance(own, dict) or not isinstance(own.get("type"), str):
            continue
        name = f"{prefix}{own.get('id')}"
        sources = {}
        for one in _listed(own.get("inputs")):
            if isinstance(one, dict) and one.get("link") in links:
                node, slot = links[one["link"]]
                sources[str(one.get("name"))] = (_outside(prefix, node), slot)
        made = dict(own) | {"sources": sources}
        if own["type"] in subgraphs and own.get("mode", 0) not in (MUTED, BYPASSED):
            inside = subgraphs[own["type"]]
            yield from _flat(inside, subgraphs, f"{name}:", depth + 1)
            made["ends"] = [str(one.get("name")) for one in _listed(inside.get("inputs"))]
            made["passes"] = {
                link[1]: (f"{name}:{link[0][0]}", link[0][1])
                for link in map(_ends, _listed(inside.get("links")))
                if link is not None
            }
        yield name, made


def _outside(prefix: str, node: str) -> str:
    """The id of a link's origin; the inner end of a subgraph's inputs is the node around it."""
    return f"{prefix[:-1]}#" if node == INPUTS and prefix else f"{prefix}{node}"


def _link(link: Any) -> tuple[int, tuple[str, int]] | None:
    """(id, (node, slot)) of where a link begins; a list, or in newer files a table."""
    if isinstance(link, dict):
        link = [link.get("id"), link.get("origin_id"), link.get("origin_slot")]
    if isinstance(link, list) and len(link) > 2 and isinstance(link[0], int):
        return link[0], (str(link[1]), link[2] if isinstance(link[2], int) else 0)
    return None


def _ends(link: Any) -> tuple[tuple[str, int], int] | None:
    """((node, slot) where it begins, slot of the subgraph's output) of links that lead out."""
    if isinstance(link, dict) and str(link.get("target_id")) == OUTPUTS:
        return (str(link.get("origin_id")), link.get("origin_slot") or 0), link.get("target_slot")
    return None


def _inputs(nodes: Mapping[str, Table], name: str) -> dict[str, Any]:
    own = nodes[name]
    values = _values(own)
    for key, source in own["sources"].items():
        found = _resolved(nodes, source, _type_of(own, key), 0)
        if isinstance(found, tuple):
            values[key] = list(found)
        elif found is not None:
            values[key] = found[0]
    return values


def _resolved(
    nodes: Mapping[str, Table], source: tuple[str, int], kind: Any, depth: int
) -> tuple[str, int] | list[Any] | None:
    """What a link comes from: a node's output, a value in a list, or None for nothing."""
    if depth > DEEPEST:
        raise ValueError(f"links of the graph go around, or through more than {DEEPEST} reroutes")
    name, slot = source
    if name.endswith("#"):  # what is given to the node that stands for a subgraph
        outer = nodes[name[:-1]]
        key = outer["ends"][slot] if slot < len(outer["ends"]) else ""
        if key in outer["sources"]:
            return _resolved(nodes, outer["sources"][key], kind, depth + 1)
        given = _values(outer)
        return [given[key]] if key in given else None
    if (own := nodes.get(name)) is None:
        return None
    if "passes" in own:
        inner = own["passes"].get(slot)
        return _resolved(nodes, inner, kind, depth + 1) if inner else None
    if own["type"] == "PrimitiveNode":
        values = _listed(own.get("widgets_values"))
        return values[:1] or None
    if own.get("mode", 0) == MUTED:
        return None
    if own["type"] == "Reroute" or own.get("mode", 0) == BYPASSED:
        outputs = _listed(own.get("outputs"))
        if own["type"] != "Reroute" and slot < len(outputs):
            kind = outputs[slot].get("type", kind)
        for key, inner in own["sources"].items():
            if own["type"] == "Reroute" or _type_of(own, key) == kind:
                return _resolved(nodes, inner, kind, depth + 1)
        return None
    return name, slot


def _type_of(own: Table, key: str) -> Any:
    for one in _listed(own.get("inputs")):
        if isinstance(one, dict) and one.get("name") == key:
            return one.get("type")
    return None


def _values(own: Table) -> dict[str, Any]:
    """The values of a node's fields by name.

    Behind a seed the editor stores what becomes of it after a run, and behind a picture its kind.
    """
    if isinstance(own.get("widgets_values_named"), dict):
        return dict(own["widgets_values_named"])
    values = own.get("widgets_values")
    if isinstance(values, dict):
        return dict(values)
    names: list[str] = []
    if "passes" in own:
        names = [str(one.get("name")) for one in _listed(own.get("inputs")) if "widget" in one]
    elif (known := CLASSES.get(own["type"])) is not None:
        for one in known.inputs.values():
            if one.is_value:
                names.append(one.name)
                names += [""] if one.rule in (SEED, Picture()) else []
    return {key: value for key, value in zip(names, _listed(values), strict=False) if key}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
