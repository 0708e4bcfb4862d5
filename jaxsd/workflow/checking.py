"""What is wrong with a graph, found before a node runs."""

from collections.abc import Iterator

from jaxsd.workflow.graph import Graph, Link
from jaxsd.workflow.schema import CLASSES

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
    needed = needed_nodes(graph)
    unknown = sorted({graph[name].kind for name in needed if graph[name].kind not in CLASSES})
    if unknown:
        raise ValueError(
            f"the graph has nodes that are not here: {', '.join(unknown)}{_instead(unknown)}; "
            "mute or bypass them in the editor, or take others"
        )
    for name in needed:
        _check_node(graph, name)
    _check_cycles(graph, needed)


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


def needed_nodes(graph: Graph) -> list[str]:
    """The nodes that outputs need, themselves among them.

    Raises:
      ValueError: no output, or a link to a node that is not there.
    """
    waiting, seen = outputs_of(graph), {}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen[name] = None
        for key, value in _links(graph, name):
            if value.node not in graph:
                raise ValueError(f"{_where(graph, name, key)} comes from a node that is not there")
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


def _check_node(graph: Graph, name: str) -> None:
    node = graph[name]
    for key, one in CLASSES[node.kind].inputs.items():
        where = _where(graph, name, key)
        if key not in node.inputs:
            if one.is_required:
                raise ValueError(f"{where} is missing; it is a {one.type_name}")
            continue
        value = node.inputs[key]
        if isinstance(value, Link):
            outputs = CLASSES[graph[value.node].kind].outputs
            if not 0 <= value.output < len(outputs):
                raise ValueError(
                    f"{where} is output {value.output} of node {value.node} "
                    f"({graph[value.node].kind}), which has {len(outputs)}"
                )
            given = outputs[value.output]
            if not _fits(given, one.type_name):
                raise ValueError(
                    f"{where} is a {one.type_name}, and node {value.node} "
                    f"({graph[value.node].kind}) gives a {given}"
                )
        elif one.is_value:
            one.value_of(value, where)
        else:
            raise ValueError(f"{where} is a {one.type_name}; it comes from another node")


def _fits(given: str, wanted: str) -> bool:
    return given == wanted or {given, wanted} <= VALUES


def _check_cycles(graph: Graph, needed: list[str]) -> None:
    left = {name: {link.node for _, link in _links(graph, name)} for name in needed}
    while ready := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in ready:
            del left[name]
    if left:
        raise ValueError(f"nodes {', '.join(sorted(left)[:10])} need each other, in a ring")
