"""The two forms of ComfyUI's graphs as one: the API's (`prompt`) and the editor's (`workflow`)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxsd.metadata.editor import MOST_NODES, in_api_form


class Link(NamedTuple):
    """An input that is the output of another node."""

    node: str


class Node(NamedTuple):
    """A node: its class, and its inputs by name, values or links."""

    kind: str
    inputs: Mapping[str, Any]


Graph = dict[str, Node]
"""Nodes by id."""

_SEED = ("seed", "")  # behind a seed the editor stores what becomes of it after a run
_FIELDS: dict[str, tuple[str, ...]] = {
    "KSampler": (*_SEED, "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        "add_noise",
        "noise_seed",
        "",
        "steps",
        "cfg",
        "sampler_name",
        "scheduler",
        "start_at_step",
        "end_at_step",
        "return_with_leftover_noise",
    ),
    "SamplerCustom": ("add_noise", "noise_seed", "", "cfg"),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "SDTurboScheduler": ("steps", "denoise"),
    "RandomNoise": ("noise_seed", ""),
    "CFGGuider": ("cfg",),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeSDXL": (
        "width",
        "height",
        "crop_w",
        "crop_h",
        "target_width",
        "target_height",
        "text_g",
        "text_l",
    ),
    "PhotoMakerEncode": ("text",),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "CheckpointLoader": ("config_name", "ckpt_name"),
    "unCLIPCheckpointLoader": ("ckpt_name",),
    "ImageOnlyCheckpointLoader": ("ckpt_name",),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "PrimitiveString": ("value",),
    "PrimitiveStringMultiline": ("value",),
}
"""Class -> names of the values that the editor stores as a list; empty for those of its own."""


def of_prompt(table: Mapping[str, Any]) -> Graph:
    """The graph of a `prompt`; empty if the table is no such thing, or too large."""
    if len(table) > MOST_NODES:
        return {}
    return {
        name: Node(node["class_type"], {key: _input(value) for key, value in inputs.items()})
        for name, node in table.items()
        if isinstance(node, dict)
        and isinstance(node.get("class_type"), str)
        and isinstance(inputs := node.get("inputs"), dict)
    }


def _input(value: Any) -> Any:
    linked = isinstance(value, list) and len(value) == 2 and isinstance(value[1], int)
    return Link(str(value[0])) if linked and isinstance(value[0], str | int) else value


def of_workflow(table: Mapping[str, Any]) -> Graph:
    """The graph of a `workflow`, without nodes that do not run, and with those of its subgraphs.

    Of nodes whose values are a list only those of `_FIELDS` have names for them. It is empty if the
    table is no such thing, too large, or can not be followed.
    """
    try:
        return of_prompt(in_api_form(table, _FIELDS.get))
    except ValueError:
        return {}
