"""What is wrong with a graph, found before a node runs."""

from collections.abc import Iterable, Iterator

from jaxsd.workflow.graph import Graph, Link
from jaxsd.workflow.schema import CLASSES, Input, Wrong

REPLACED = {
    "IPAdapter": "--ip-adapter of jaxsd generate",
    "UltimateSDUpscale": "--hires of jaxsd generate",
    "CannyEdgePreprocessor": "the node Canny",
    "ScribblePreprocessor": "--preprocessor scribble of jaxsd generate",
    "ImageResizeKJ": "the node ImageScale",
    "Efficient Loader": "CheckpointLoaderSimple, CLIPTextEncode and EmptyLatentImage",
    "Attention couple": "ConditioningCombine without it",
}
"""Beginning of a class that is not here -> what does something like it."""

VALUES = {"INT", "FLOAT", "STRING", "COMBO", "BOOLEAN"}
"""Types that are converted to each other."""


def check_graph(graph: Graph) -> None:
    """Checks classes, links, types, ranges and that something comes out.

    Raises:
      ValueError: one line, for the first kind of mistake.
    """
    needed = needed_nodes(graph, outputs_of(graph))
    check_classes(graph, needed)
    for name in needed:
        for wrong in mistakes_of(graph, name):
            raise wrong
    check_cycles(graph, needed)


def check_classes(graph: Graph, needed: Iterable[str]) -> None:
    """Raises ValueError for nodes whose classes are not here; it names all of them."""
    unknown = sorted({graph[name].kind for name in needed if graph[name].kind not in CLASSES})
    if unknown:
        raise ValueError(
            f"the graph has nodes that are not here: {', '.join(unknown)}{_instead(unknown)}; "
            "mute or bypass them in the editor, or take others"
        )


def outputs_of(graph: Graph) -> list[str]:
    """The nodes for whose sake a graph is run.

    Raises:
      ValueError: there is none.
    """
    found = [name for name, node in graph.items() if _is_output(node.kind)]
    found = found or [name for name, node in graph.items() if node.kind not in CLASSES]
    if not found:
        raise ValueError("the graph has no output; add SaveImage or PreviewImage")
    return found


def needed_nodes(graph: Graph, outputs: Iterable[str]) -> list[str]:
    """The nodes that some nodes need, themselves among them.

    Raises:
      Wrong: a link to a node that is not there.
    """
    waiting, seen = list(outputs), {}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen[name] = None
        for key, value in _links(graph, name):
            if value.node not in graph:
                line = f"{_where(graph, name, key)} comes from a node that is not there"
                raise Wrong(line, "bad_linked_input", key, name)
            waiting.append(value.node)
    return list(seen)


def _is_output(kind: str) -> bool:
    return kind in CLASSES and CLASSES[kind].is_output


def _links(graph: Graph, name: str) -> Iterator[tuple[str, Link]]:
    """The linked inputs that the class of a node knows; all, if the class is not known."""
    node = graph[name]
    known = CLASSES[node.kind].inputs if node.kind in CLASSES else node.inputs
    for key, value in node.inputs.items():
        if isinstance(value, Link) and key in known:
            yield key, value


def _where(graph: Graph, name: str, key: str) -> str:
    return f"node {name} ({graph[name].kind}): {key}"


def _instead(unknown: list[str]) -> str:
    found = [
        f"{name}: {other}"
        for name in unknown
        for start, other in REPLACED.items()
        if name.startswith(start)
    ]
    return f" (instead of {'; '.join(found)})" if found else ""


def mistakes_of(graph: Graph, name: str) -> Iterator[Wrong]:
    """What is wrong with the inputs of a node, whose sources have known classes."""
    for one in CLASSES[graph[name].kind].inputs.values():
        try:
            _check_input(graph, name, one)
        except Wrong as wrong:
            yield wrong


def _check_input(graph: Graph, name: str, one: Input) -> None:
    node, where = graph[name], _where(graph, name, one.name)
    if one.name not in node.inputs:
        if one.is_required:
            line = f"{where} is missing; it is a {one.type_name}"
            raise Wrong(line, "required_input_missing", one.name)
        return
    value = node.inputs[one.name]
    if isinstance(value, Link):
        _check_link(graph, value, one, where)
    elif one.is_value:
        one.value_of(value, where)
    else:
        line = f"{where} is a {one.type_name}; it comes from another node"
        raise Wrong(line, "bad_linked_input", one.name)


def _check_link(graph: Graph, link: Link, one: Input, where: str) -> None:
    source = f"node {link.node} ({graph[link.node].kind})"
    outputs = CLASSES[graph[link.node].kind].outputs
    if not 0 <= link.output < len(outputs):
        line = f"{where} is output {link.output} of {source}, which has {len(outputs)}"
        raise Wrong(line, "bad_linked_input", one.name)
    given = outputs[link.output]
    if not _fits(given, one.type_name):
        line = f"{where} is a {one.type_name}, and {source} gives a {given}"
        raise Wrong(line, "return_type_mismatch", one.name)


def _fits(given: str, wanted: str) -> bool:
    return given == wanted or {given, wanted} <= VALUES


def check_cycles(graph: Graph, needed: Iterable[str]) -> None:
    """Raises ValueError if nodes need each other."""
    names = set(needed)
    needs = {name: {link.node for _, link in _links(graph, name)} & names for name in names}
    users: dict[str, list[str]] = {name: [] for name in names}
    for name, sources in needs.items():
        for source in sources:
            users[source].append(name)
    ready = [name for name in names if not needs[name]]
    while ready:  # each node once, each link once (Kahn 1962)
        done = ready.pop()
        for name in users[done]:
            needs[name].remove(done)
            if not needs[name]:
                ready.append(name)
    if left := [name for name in names if needs[name]]:
        raise ValueError(f"nodes {', '.join(sorted(left)[:10])} need each other, in a ring")
