"""ComfyUI's graphs: nodes by id, with inputs that are values or links."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxsd.images import is_picture, picture_texts
from jaxsd.metadata.editor import MOST_NODES, in_api_form
from jaxsd.terminal import printable
from jaxsd.text_files import read_json, table_of
from jaxsd.workflow.schema import fields_of

EDITED = "nodes"
"""The key by which the editor's files are known."""


class Link(NamedTuple):
    """An input that is an output of another node."""

    node: str
    output: int = 0


class Node(NamedTuple):
    """A node: its class, and its inputs by name, values or links."""

    kind: str
    inputs: Mapping[str, Any]
    title: str = ""


Graph = dict[str, Node]
"""Nodes by id."""


def read_graph(path: str | Path) -> tuple[Graph, dict[str, Any]]:
    """The graph of a file, and the tables that ComfyUI writes into its pictures, for ours.

    Args:
      path: of JSON in the API's form or the editor's, or of a picture with one of them inside.

    Raises:
      ValueError: it has no graph, or one that is damaged.
      OSError: no such file.
    """
    if is_picture(path):
        texts = _graphs_in(path)
        tables = {name: table_of(text, f"{path}, {name}") for name, text in texts.items()}
        if not tables:
            raise ValueError(f"{path} has no graph of ComfyUI inside")
    else:
        table = read_json(path)
        if isinstance(table.get("prompt"), dict):  # what clients send to a server
            table = table["prompt"]
        tables = {"workflow" if EDITED in table else "prompt": table}
    table = tables.get("prompt", {})
    if not table and "workflow" in tables:
        table = in_api_form(tables["workflow"], fields_of)
    return graph_of(table, path), tables


def holds_graph(path: str | Path) -> bool:
    """Whether a file is a picture with a graph inside."""
    return is_picture(path) and bool(_graphs_in(path))


def _graphs_in(path: str | Path) -> dict[str, str]:
    """The texts of a picture that hold a graph, by the names that ComfyUI gives them."""
    texts = {name: text.strip("\0") for name, text in picture_texts(path).items()}
    names = ("prompt", "workflow")
    return {name: texts[name] for name in names if texts.get(name, "").lstrip().startswith("{")}


def graph_of(table: Mapping[str, Any], where: object) -> Graph:
    """The graph of a table in the API's form. Keys and inputs that are not known are kept.

    Raises:
      ValueError: no such table.
    """
    if len(table) > MOST_NODES:
        raise ValueError(f"{where} has {len(table)} nodes; at most {MOST_NODES} are possible")
    graph = {}
    for name, own in table.items():
        if not isinstance(own, dict) or not isinstance(own.get("class_type"), str):
            raise ValueError(
                f"{where} is no graph: {printable(name, 40)!r} has no class_type; save it in "
                "ComfyUI by Export (API), or give the editor's file"
            )
        inputs = own.get("inputs", {})
        if not isinstance(inputs, dict):
            raise ValueError(f"{where} is no graph: inputs of node {name} are no table")
        meta = own.get("_meta") or {}
        if not isinstance(meta, dict):
            raise ValueError(f"{where} is no graph: _meta of node {name} is no table")
        values = {key: _input(value) for key, value in inputs.items()}
        graph[name] = Node(own["class_type"], values, str(meta.get("title", "")))
    if not graph:
        raise ValueError(f"{where} is an empty graph")
    return graph


def _input(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"__value__"}:
        return value["__value__"]
    if isinstance(value, list) and len(value) == 2 and type(value[1]) is int:
        return Link(str(value[0]), value[1])
    return value


def table_from(graph: Graph) -> dict[str, Any]:
    """The graph as a table in the API's form."""
    return {
        name: {
            "inputs": {
                key: list(value) if isinstance(value, Link) else value
                for key, value in node.inputs.items()
            },
            "class_type": node.kind,
        }
        | ({"_meta": {"title": node.title}} if node.title else {})
        for name, node in graph.items()
    }


def overridden(graph: Graph, texts: Iterable[str]) -> Graph:
    """The graph with values that the user gives, NODE.INPUT=VALUE.

    NODE is an id, a title, or a class if the graph has one node of it.

    Raises:
      ValueError: another form, or no such node or input.
    """
    graph = dict(graph)
    for text in texts:
        place, equals, value = text.partition("=")
        who, key = _split(graph, place)
        if not equals or not who:
            raise ValueError(f"{printable(text, 60)!r} is not NODE.INPUT=VALUE, as 3.steps=4")
        for name in _named(graph, who):
            node = graph[name]
            if key not in node.inputs:
                there = ", ".join(node.inputs) or "none"
                raise ValueError(f"node {name} ({node.kind}) has no input {key!r}; it has: {there}")
            graph[name] = node._replace(inputs={**node.inputs, key: _of_text(value)})
    return graph


def _split(graph: Graph, place: str) -> tuple[str, str]:
    """NODE and INPUT of NODE.INPUT, where both may have points; the last one divides others."""
    points = [i for i, letter in enumerate(place) if letter == "."]
    for point in points:
        who, key = place[:point], place[point + 1 :]
        for name, node in graph.items():
            if who in (name, node.title, node.kind) and key in node.inputs:
                return who, key
    who, _, key = place.rpartition(".")
    return who, key


def _named(graph: Graph, who: str) -> Sequence[str]:
    if who in graph:
        return [who]
    found = [name for name, node in graph.items() if who in (node.title, node.kind)]
    if not found:
        there = ", ".join(f"{name} ({node.kind})" for name, node in list(graph.items())[:20])
        raise ValueError(f"the graph has no node {printable(who, 40)!r}; it has: {there}")
    return found


def _of_text(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, bool | int | float) else text


def seeded(graph: Graph, more: int) -> Graph:
    """The graph with seeds that are so much higher."""
    if not more:
        return graph
    raised = dict(graph)
    for name, node in graph.items():
        own = {
            key: (value + more) % 2**64
            for key, value in node.inputs.items()
            if key in ("seed", "noise_seed") and type(value) is int
        }
        raised[name] = node._replace(inputs={**node.inputs, **own})
    return raised
