"""ComfyUI's graphs: which sampler drew a picture, and of which texts."""

from collections.abc import Iterator, Mapping
from typing import Any

from jaxsd.metadata.graph import Graph, Link, Node, of_prompt, of_workflow
from jaxsd.metadata.made import Made, settings_of, table_in
from jaxsd.webui import NEGATIVE, PARAMETERS, PROMPT, parse_parameters

_TEXTS = ("text", "text_g", "text_l", "clip_l", "t5xxl", "prompt")
"""Inputs of nodes that encode texts."""
_SETTINGS = ("steps", "cfg", "sampler_name", "scheduler", "denoise", "seed", "noise_seed")
_PARTS = ("guider", "sampler", "sigmas", "noise")
"""Inputs of samplers that are nodes with some of `_SETTINGS`."""
_MODELS = ("ckpt_name", "unet_name")
_MOST = 20
"""Samplers side by side whose texts are compared."""


def comfy(texts: Mapping[str, str]) -> Made | None:
    """ComfyUI: a graph in `prompt`, in `workflow`, or in both.

    Settings are those of the first sampler: later ones refine what it drew. Where samplers that do
    not build on each other have different texts, or a text comes from a node that is not known,
    the prompt is None; or that of a text of webui beside the graph.
    """
    workflow = table_in(texts, "workflow")
    graph = of_prompt(table_in(texts, "prompt")) or of_workflow(workflow)
    if not graph:
        return Made("ComfyUI") if {"nodes", "links"} <= set(workflow) else None
    samplers = _first_samplers(graph)
    strings = _strings(graph)
    prompts = {_text_of(graph, strings, node, "positive") for node in samplers}
    negatives = {_text_of(graph, strings, node, "negative") for node in samplers}
    prompt, negative = (one.pop() if len(one) == 1 else None for one in (prompts, negatives))
    beside = parse_parameters(texts.get(PARAMETERS, ""))
    if prompt is None and "Steps" in beside:
        prompt, negative = beside[PROMPT], beside[NEGATIVE]
    settings = _settings(graph, samplers[0]) if len(samplers) == 1 else {}
    if (count := sum(map(_draws, graph.values()))) > 1:
        settings["Samplers"] = count
    return Made("ComfyUI", prompt, negative, settings_of(settings))


def _first_samplers(graph: Graph) -> list[Node]:
    """The samplers that do not build on another one; none if there are more than `_MOST`."""
    users: dict[str, list[str]] = {}
    for name, node in graph.items():
        for value in node.inputs.values():
            if isinstance(value, Link):
                users.setdefault(value.node, []).append(name)
    samplers = [name for name, node in graph.items() if _draws(node)]
    later: set[str] = set()
    waiting = [user for name in samplers for user in users.get(name, [])]
    while waiting:
        name = waiting.pop()
        if name not in later:
            later.add(name)
            waiting += users.get(name, [])
    first = [graph[name] for name in samplers if name not in later]
    return first if len(first) <= _MOST else []


def _draws(node: Node) -> bool:
    seeded = {"seed", "noise_seed", "noise"} & set(node.inputs)
    return bool(seeded) and isinstance(node.inputs.get("positive", node.inputs.get("guider")), Link)


def _text_of(
    graph: Graph, strings: Mapping[str, str | None], sampler: Node, side: str
) -> str | None:
    """The text of a side, "positive" or "negative", of a sampler; None if it cannot be told.

    Several texts that are combined are joined by line breaks.
    """
    if isinstance(guider := sampler.inputs.get("guider"), Link):
        sampler = _node(graph, guider)
        if side == "negative" and side not in sampler.inputs:
            return ""
    texts: dict[str | None, None] = {}
    seen, waiting = set(), [sampler]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node.inputs.get(side), str):  # a loader with prompts of its own
            texts[node.inputs[side]] = None
        elif node.kind == "ConditioningZeroOut":
            texts[""] = None
        elif following := _conditions(node, side):
            waiting += [_node(graph, link) for link in reversed(following)]
        else:
            found = [_string(strings, node.inputs[name]) for name in _TEXTS if name in node.inputs]
            texts |= dict.fromkeys(found or [None])
    if None in texts:
        return None
    return "\n".join(text for text in texts if text.strip())


def _conditions(node: Node, side: str) -> list[Link]:
    """The inputs of a node that lead to the texts of a side."""
    links = {name: value for name, value in node.inputs.items() if isinstance(value, Link)}
    if side in links:
        return [links[side]]
    passes = node.kind == "Reroute"
    return [link for name, link in links.items() if passes or name.startswith("conditioning")]


def _strings(graph: Graph) -> dict[str, str | None]:
    """The text of each node that holds only one, or passes on only one."""
    found: dict[str, str | None] = {}
    for name in graph:
        passed, value = [], Link(name)
        while isinstance(value, Link) and value.node not in found:
            found[value.node] = None  # which also ends rings
            passed.append(value.node)
            inputs = _node(graph, value).inputs.values()
            texts = [one for one in inputs if isinstance(one, Link | str)]
            value = texts[0] if len(texts) == 1 else None
        found |= dict.fromkeys(passed, _string(found, value))
    return found


def _string(strings: Mapping[str, str | None], value: Any) -> str | None:
    """A text, or that of the node that it comes from."""
    if isinstance(value, Link):
        return strings.get(value.node)
    return value if isinstance(value, str) else None


def _node(graph: Graph, link: Link) -> Node:
    return graph.get(link.node, Node("", {}))


def _settings(graph: Graph, sampler: Node) -> dict[str, Any]:
    """What a sampler and the nodes that it consists of say, its model and its size."""
    links = [sampler.inputs.get(name) for name in _PARTS]
    parts = [_node(graph, link) for link in links if isinstance(link, Link)]
    found: dict[str, Any] = {}
    for node in [sampler, *parts]:
        for name in _SETTINGS:
            value = node.inputs.get(name)
            if isinstance(value, Link):
                values = [one for one in _node(graph, value).inputs.values() if _is_plain(one)]
                value = values[0] if len(values) == 1 else None
            if _is_plain(value):
                found.setdefault(name, value)
    for node in _following(graph, sampler, "model", *_PARTS):
        found |= {name: node.inputs[name] for name in _MODELS if _is_plain(node.inputs.get(name))}
        if _is_plain(lora := node.inputs.get("lora_name")):
            found["LoRA"] = f"{found['LoRA']}, {lora}" if "LoRA" in found else lora
    layers = {node.inputs.get("stop_at_clip_layer") for node in graph.values()} - {None}
    if len(layers) == 1 and _is_plain(layer := layers.pop()):
        found["stop_at_clip_layer"] = layer
    latent = sampler.inputs.get("latent_image")
    if isinstance(latent, Link):
        size = {name: _node(graph, latent).inputs.get(name) for name in ("width", "height")}
        found |= size if all(map(_is_plain, size.values())) else {}
    return found


def _following(graph: Graph, node: Node, *names: str) -> Iterator[Node]:
    """The nodes that are reached by inputs of some names."""
    seen, waiting = set(), [node]
    for node in waiting:
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            links = (node.inputs.get(name) for name in names)
            waiting += [_node(graph, link) for link in links if isinstance(link, Link)]


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
