"""Runs a graph: only what outputs need, each node once, and nothing again that did not change."""

import hashlib
import json
from collections.abc import Callable, Mapping, Set
from typing import Any

from jaxsd.workflow.checking import check_graph, needed_nodes, outputs_of
from jaxsd.workflow.graph import Graph, Link, Node
from jaxsd.workflow.prompts import embeddings_in
from jaxsd.workflow.schema import CLASSES, InFolder, NodeClass, Picture
from jaxsd.workflow.workspace import Workspace

MOST_KEPT = 200
"""Results that a cache keeps."""

Values = tuple[list[Any], ...]
"""What a node gives: for each output the values of a list, mostly a single one."""


Cache = dict[str, Values]
"""Results of nodes by what they were made of, which other graphs may share."""


def run_graph(
    graph: Graph,
    workspace: Workspace,
    cache: Cache | None = None,
    begins: Callable[[str, Node], None] = lambda name, node: None,
    ends: Callable[[str, Node], None] = lambda name, node: None,
    keeps: Callable[[list[str]], None] = lambda names: None,
    most_kept: int = MOST_KEPT,
) -> dict[str, Any]:
    """Runs the graph, and returns what its output nodes gave, by id.

    Args:
      graph: checked here before anything runs.
      workspace: folders of models, inputs and outputs.
      cache: of earlier graphs; nodes whose class, values, files and sources are the same are taken
        from it. Output nodes run again.
      begins: is told of each node that runs.
      ends: and when it has run.
      keeps: is told of the nodes that are taken from the cache, before any runs.
      most_kept: results in the cache that this graph does not need.

    Raises:
      ValueError: a graph that can not be run, or what a node refuses; it names the node.
      OSError: a file that is not there.
    """
    check_graph(graph)
    for name in needed_nodes(graph, outputs_of(graph)):
        check_files(graph, name, workspace)
    cache = {} if cache is None else cache
    signatures: dict[str, str] = {}
    for name in in_order(graph):
        node = graph[name]
        signatures[name] = _signature(node, CLASSES[node.kind], signatures, workspace)
    _forget(cache, set(signatures.values()), most_kept)
    there = [name for name, signature in signatures.items() if signature in cache]
    keeps([name for name in there if not CLASSES[graph[name].kind].is_output])
    given: dict[str, Any] = {}
    for name, signature in signatures.items():
        node, known = graph[name], CLASSES[graph[name].kind]
        if signature not in cache or known.is_output:
            begins(name, node)
            sources = {link: cache[signatures[link.node]] for link in _sources(node, known)}
            cache[signature] = _run(name, node, known, sources, workspace)
            ends(name, node)
        if known.is_output:
            given[name] = cache[signature][0][0] if known.outputs else None
    return given


def _forget(cache: Cache, used: Set[str], most: int) -> None:
    """Forgets the oldest results that a graph does not use, but for so many."""
    unused = [one for one in cache if one not in used]
    for signature in unused[: max(0, len(unused) - most)]:
        del cache[signature]


def in_order(graph: Graph) -> list[str]:
    """The needed nodes, each behind its sources; a branch is finished before the next begins."""
    order: dict[str, None] = {}
    waiting = [(name, False) for name in reversed(outputs_of(graph))]
    needed = set(needed_nodes(graph, outputs_of(graph)))
    while waiting:
        name, is_ready = waiting.pop()
        if name in order or name not in needed:
            continue
        if is_ready:
            order[name] = None
            continue
        waiting.append((name, True))
        sources = _sources(graph[name], CLASSES[graph[name].kind])
        waiting += [(link.node, False) for link in reversed(sources)]
    return list(order)


def _sources(node: Node, known: NodeClass) -> list[Link]:
    values = (node.inputs[key] for key in known.inputs if key in node.inputs)
    return [value for value in values if isinstance(value, Link)]


def check_files(graph: Graph, name: str, workspace: Workspace) -> None:
    """Looks for every file that a node names, embeddings too.

    Raises:
      FileNotFoundError: one is not there.
    """
    node = graph[name]
    for key, one in CLASSES[node.kind].inputs.items():
        value = node.inputs.get(key, one.default)
        if not isinstance(value, str):
            continue
        if isinstance(one.rule, InFolder):
            workspace.model(one.rule.kind, value)
        if isinstance(one.rule, Picture):
            workspace.picture(value)
        if one.kind is str and one.rule is None:
            for embedding in embeddings_in(value):
                workspace.embedding(embedding)


def _signature(
    node: Node, known: NodeClass, signatures: Mapping[str, str], workspace: Workspace
) -> str:
    """A hash of the node and, by their signatures, of its sources. As texts within texts they would
    double with each node of a chain.
    """
    parts: list[Any] = [node.kind]
    for key, one in known.inputs.items():
        value = node.inputs.get(key)
        if isinstance(value, Link):
            parts.append([key, signatures[value.node], value.output])
            continue
        parts.append([key, value])
        if isinstance(one.rule, Picture) and isinstance(value, str):
            parts.append(workspace.picture(value).stat().st_mtime_ns)
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def _run(
    name: str,
    node: Node,
    known: NodeClass,
    sources: Mapping[Link, Values],
    workspace: Workspace,
) -> Values:
    where = f"node {name} ({node.kind})"
    lists: dict[str, list[Any]] = {}
    for key, one in known.inputs.items():
        if key not in node.inputs:
            lists[key] = [one.default]
            continue
        value = node.inputs[key]
        values = sources[value][value.output] if isinstance(value, Link) else [value]
        lists[key] = (
            [one.value_of(v, f"{where}: {key}") for v in values] if one.is_value else values
        )
    place = (workspace,) if known.needs_place else ()
    try:
        if known.takes_lists:
            return _outputs(known, [known.run(*place, **lists)])
        count = max(map(len, lists.values()), default=1)
        calls = [
            known.run(*place, **{key: own[min(i, len(own) - 1)] for key, own in lists.items()})
            for i in range(count)
        ]
    except (ValueError, OSError) as error:
        kind = OSError if isinstance(error, OSError) else ValueError
        raise kind(f"{where}: {error}") from error
    return _outputs(known, calls)


def _outputs(known: NodeClass, calls: list[Any]) -> Values:
    """The lists of each output, of the results of calls."""
    if len(known.outputs) < 2:
        calls = [(one,) for one in calls]
    columns = tuple(list(column) for column in zip(*calls, strict=True))
    if known.gives_lists:
        return tuple([value for own in column for value in own] for column in columns)
    return columns
