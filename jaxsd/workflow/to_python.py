"""A graph as a program that calls the same functions in the same order."""

import keyword
import re
from pprint import pformat
from typing import Any

from jaxsd.workflow.checking import check_graph
from jaxsd.workflow.execution import in_order
from jaxsd.workflow.graph import Graph, Link
from jaxsd.workflow.schema import CLASSES
from jaxsd.workflow.workspace import Workspace

WIDTH = 100


def python_of(graph: Graph, place: Workspace, title: str) -> str:
    """The program.

    Args:
      graph: checked here.
      place: its folders and names are written into the program.
      title: what the graph is called.

    Raises:
      ValueError: a graph that can not be run, or that has nodes which give lists.
    """
    check_graph(graph)
    order = in_order(graph)
    if lists := [graph[name].kind for name in order if CLASSES[graph[name].kind].gives_lists]:
        raise ValueError(f"{lists[0]} gives a list, for which no program is written")
    names = _names(graph, order)
    functions = sorted({CLASSES[graph[name].kind].run.__name__ for name in order})
    lines = [
        f'"""{_plain(title)}: the same pixels as `jaxsd workflow run`."""',
        "",
        "from pathlib import Path",
        "",
        "from jaxsd.workflow import Workspace",
        "from jaxsd.workflow.nodes import (",
        *(f"    {name}," for name in functions),
        ")",
        "",
        *_workspace(place),
    ]
    for name in order:
        lines += (
            ["", *_call(graph, name, names)] if graph[name].title else _call(graph, name, names)
        )
    return "\n".join(lines) + "\n"


def _workspace(place: Workspace) -> list[str]:
    models = ", ".join(f"Path({str(one)!r})" for one in place.models)
    given = {
        "models": f"[{models}]",
        "inputs": f"Path({str(place.inputs)!r})",
        "outputs": f"Path({str(place.outputs)!r})",
        "dtype": repr(place.dtype),
        "noise": repr(place.noise),
    }
    if place.reading:
        given["reading"] = repr(dict(place.reading))
    if place.named:
        given["named"] = pformat(dict(place.named), width=WIDTH - 10)
    if place.extra:
        folders = {kind: [str(one) for one in own] for kind, own in place.extra.items()}
        given["extra"] = f"{{k: [Path(p) for p in v] for k, v in {folders!r}.items()}}"
    return ["place = Workspace(", *(f"    {key}={value}," for key, value in given.items()), ")"]


def _names(graph: Graph, order: list[str]) -> dict[Link, str]:
    """A variable for each output that is used: the name of the input that takes it first."""
    names: dict[Link, str] = {}
    taken = {one.run.__name__ for one in CLASSES.values()} | {"place", "Path", "Workspace", "_"}
    for name in order:
        node = graph[name]
        for key in CLASSES[node.kind].inputs:
            value = node.inputs.get(key)
            if not isinstance(value, Link) or value in names:
                continue
            base = key if not keyword.iskeyword(key) else f"{key}_"
            own, number = base, 2
            while own in taken:
                own, number = f"{base}_{number}", number + 1
            taken.add(own)
            names[value] = own
    return names


def _call(graph: Graph, name: str, names: dict[Link, str]) -> list[str]:
    node, known = graph[name], CLASSES[graph[name].kind]
    outputs = [names.get(Link(name, slot), "_") for slot in range(len(known.outputs))]
    begin = f"{', '.join(outputs)} = " if set(outputs) - {"_"} else ""
    values = ["place"] if known.needs_place else []
    for key, one in known.inputs.items():
        if key in node.inputs:
            value = _value(node.inputs[key], one, names)
            values.append(f"{key}={value}" if key.isidentifier() else f"**{{{key!r}: {value}}}")
    title = f"  # {_plain(node.title)}" if node.title else ""
    line = f"{begin}{known.run.__name__}({', '.join(values)})"
    if len(line) + len(title) <= WIDTH:
        return [line + title]
    calls = [f"    {value}," for value in values]
    return [f"{begin}{known.run.__name__}({title}", *calls, ")"]


def _value(value: Any, one: Any, names: dict[Link, str]) -> str:
    if isinstance(value, Link):
        return names[value]
    return repr(one.value_of(value, one.name))


def _plain(text: str) -> str:
    """A text that can end no comment and no string."""
    return re.sub(r"[^ !#-\[\]-~]", "?", text)[:60]
