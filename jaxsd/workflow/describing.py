"""Classes of nodes as ComfyUI's `/object_info` tells them, which its editor is drawn from."""

import inspect
from typing import Any

from jaxsd.workflow.schema import (
    CLASSES,
    NUMBER,
    SEED,
    Choice,
    InFolder,
    Input,
    NodeClass,
    Picture,
    Range,
)
from jaxsd.workflow.workspace import Workspace

_STEP = 0.01
_LINES = "text"
"""Inputs whose names begin so are fields of several lines."""


def described(workspace: Workspace, kind: str | None = None) -> dict[str, Any]:
    """All classes by name, or one of them; empty if it is not here.

    Args:
      workspace: whose models and pictures are the choices of names.
      kind: of the class.
    """
    wanted = CLASSES if kind is None else {kind: CLASSES[kind]} if kind in CLASSES else {}
    return {name: _described(own, workspace) for name, own in wanted.items()}


def _described(own: NodeClass, workspace: Workspace) -> dict[str, Any]:
    # What comes from a node may be left out; a field of the editor always has a value.
    optional = [one for one in own.inputs.values() if not (one.is_required or one.is_value)]
    required = [one for one in own.inputs.values() if one not in optional]
    groups = {"required": required} | ({"optional": optional} if optional else {})
    outputs = list(own.outputs)
    return {
        "input": {
            group: {one.name: _field(one, workspace) for one in inputs}
            for group, inputs in groups.items()
        },
        "input_order": {group: [one.name for one in inputs] for group, inputs in groups.items()},
        "is_input_list": own.takes_lists,
        "output": outputs,
        "output_is_list": [own.gives_lists] * len(outputs),
        "output_name": outputs,
        "output_tooltips": [],
        "name": own.name,
        "display_name": own.name,
        "description": (inspect.getdoc(own.run) or "").partition("\n")[0],
        "python_module": "nodes",
        "category": own.run.__module__.rpartition(".")[2],
        "output_node": own.is_output,
        "deprecated": False,
        "experimental": False,
        "api_node": False,
        "search_aliases": [],
    }


def _field(one: Input, workspace: Workspace) -> list[Any]:
    """An input as [type, options], or [choices, options]."""
    if not one.is_value:
        return [one.type_name]
    options: dict[str, Any] = {}
    if one.default is not inspect.Parameter.empty and one.default is not None:
        options["default"] = one.default
    if isinstance(one.rule, Choice):
        return [list(one.rule.words), options]
    if isinstance(one.rule, InFolder):
        return [workspace.names(one.rule.kind), options]
    if isinstance(one.rule, Picture):
        return [workspace.pictures(), options | {"image_upload": True}]
    if isinstance(one.rule, Range):
        options |= {"min": one.kind(one.rule.low), "max": one.kind(one.rule.high)}
    if one.rule in (SEED, NUMBER):
        options["control_after_generate"] = True
    if one.kind is float:
        options["step"] = _STEP
    if one.kind is str:
        options["multiline"] = one.name.startswith(_LINES)
    return [one.type_name, options]
