"""Which outputs of a graph can run, and what is wrong with the others, in ComfyUI's words."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from jaxsd.terminal import printable
from jaxsd.workflow import Graph, Link, Workspace, graph_of
from jaxsd.workflow.checking import (
    check_classes,
    check_cycles,
    mistakes_of,
    needed_nodes,
    outputs_of,
)
from jaxsd.workflow.execution import check_files
from jaxsd.workflow.schema import CLASSES, InFolder, Wrong

WORDS = {
    "required_input_missing": "Required input is missing",
    "bad_linked_input": "Bad linked input",
    "return_type_mismatch": "Return type mismatch between linked nodes",
    "invalid_input_type": "Failed to convert an input value",
    "value_smaller_than_min": "Value smaller than min",
    "value_bigger_than_max": "Value bigger than max",
    "value_not_in_list": "Value not in list",
    "custom_validation_failed": "Custom validation failed for node",
    "dependency_cycle": "Dependency cycle detected",
}
"""Kind of mistake -> its short text, which clients show before ours."""


class NotRun(Exception):
    """A graph of which nothing can run.

    Attributes:
      said: the answer to the client.
    """

    def __init__(self, kind: str, message: str, errors: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        error = {"type": kind, "message": message, "details": "", "extra_info": {}}
        self.said = {"error": error, "node_errors": dict(errors or {})}


class Judged(NamedTuple):
    """A graph with the nodes that can run.

    Attributes:
      outputs: the nodes for whose sake it runs.
      errors: what is wrong with outputs that are left out, by node, as clients are told.
    """

    graph: Graph
    outputs: list[str]
    errors: dict[str, Any]


def judged(table: Any, place: Workspace, targets: Collection[str] | None = None) -> Judged:
    """What of a graph can run.

    Args:
      table: in the API's form, as a client sent it.
      place: where its files are looked for.
      targets: the outputs that are wanted; None for all.

    Raises:
      NotRun: nothing can.
    """
    if not isinstance(table, dict):
        raise NotRun("no_prompt", "No prompt provided")
    try:
        graph = graph_of(table, "the prompt")
    except ValueError as error:
        raise NotRun("invalid_prompt", str(error)) from None
    try:
        outputs = [one for one in outputs_of(graph) if targets is None or one in targets]
    except ValueError:
        outputs = []
    if not outputs:
        raise NotRun("prompt_no_outputs", "Prompt has no outputs")
    errors: dict[str, Any] = {}
    good: list[str] = []
    needed: dict[str, None] = {}
    for output in outputs:
        try:
            own = needed_nodes(graph, [output])
            check_classes(graph, own)
        except Wrong as wrong:
            _add(errors, graph, wrong.node, output, wrong)
            continue
        except ValueError as error:
            raise NotRun("missing_node_type", str(error)) from None
        found = {name: _mistakes(graph, name, place) for name in own}
        for name, mistakes in found.items():
            for wrong in mistakes:
                _add(errors, graph, name, output, wrong)
        if not any(found.values()):
            try:
                check_cycles(graph, own)
            except ValueError as error:
                _add(errors, graph, output, output, Wrong(str(error), "dependency_cycle", ""))
                continue
            good.append(output)
            needed |= dict.fromkeys(own)
    if not good:
        raise NotRun("prompt_outputs_failed_validation", _first(errors), errors)
    return Judged({name: graph[name] for name in needed}, good, errors)


def _mistakes(graph: Graph, name: str, place: Workspace) -> list[Wrong]:
    found = list(mistakes_of(graph, name))
    if found:
        return found
    try:
        check_files(graph, name, place)
    except OSError as error:
        inputs = CLASSES[graph[name].kind].inputs.values()
        key = next((one.name for one in inputs if isinstance(one.rule, InFolder)), "")
        kind = "value_not_in_list" if key else "custom_validation_failed"
        return [Wrong(str(error), kind, key)]
    return []


def _add(errors: dict[str, Any], graph: Graph, name: str, output: str, wrong: Wrong) -> None:
    node = graph[name]
    own = errors.setdefault(name, {"errors": [], "dependent_outputs": [], "class_type": node.kind})
    if output not in own["dependent_outputs"]:
        own["dependent_outputs"].append(output)
    value = node.inputs.get(wrong.key)
    received = list(value) if isinstance(value, Link) else value
    told = {
        "type": wrong.kind,
        "message": WORDS[wrong.kind],
        "details": printable(str(wrong), 1000),
        "extra_info": {"input_name": wrong.key, "received_value": received},
    }
    if told not in own["errors"]:
        own["errors"].append(told)


def _first(errors: Mapping[str, Any]) -> str:
    """The first line, for clients that show no errors of nodes."""
    return next(iter(errors.values()))["errors"][0]["details"]
