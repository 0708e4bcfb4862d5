"""A graph in the API's form, and changes to it."""

from copy import deepcopy
from typing import Any

GRAPH: dict[str, Any] = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "any.safetensors"}},
    "5": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 72, "height": 64, "batch_size": 2},
    },
    "6": {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": "a red apple, (shiny:1.3) on a table", "clip": ["4", 1]},
    },
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "(blurry:0.7)", "clip": ["4", 1]}},
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["4", 0],
            "seed": 5,
            "steps": 4,
            "cfg": 4.0,
            "sampler_name": "euler",
            "scheduler": "karras",
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
            "denoise": 1.0,
        },
    },
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "made"}},
}
"""Two pictures of a text."""


def changed(graph: dict[str, Any], nodes: dict[str, Any]) -> dict[str, Any]:
    """The graph with other inputs of nodes, or new nodes: id -> inputs, `class_type` among them."""
    made = deepcopy(graph)
    for name, inputs in nodes.items():
        own = made.setdefault(name, {"inputs": {}})
        inputs = dict(inputs)
        own["class_type"] = inputs.pop("class_type", own.get("class_type"))
        own["inputs"] |= inputs
    return made
