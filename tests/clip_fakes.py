"""A tiny CLIP with random weights, as transformers stores one."""

import json
from pathlib import Path

import numpy as np
from tiny_models import uniform

from jaxsd.config import TextConfig, VisionConfig
from jaxsd.convert.diffusers.names import text_slots, vision_slots
from jaxsd.convert.diffusers.text_settings import text_settings
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import flatten, in_memory
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.parameters import text_parameters, vision_parameters
from jaxsd.convert.slots import lay_out
from jaxsd.text import Tokenizer, clip_vocabulary, vocabulary_of, write_tokenizer
from jaxsd.types import Params

TEXT = TextConfig(32, 2, 2, 48, "quick_gelu", 614, 16, projection_dim=24, pad_token=613)
VISION = VisionConfig(48, 2, 3, 64, "quick_gelu", image_size=32, patch_size=8, projection_dim=24)


def random_tree(shapes: Shapes) -> Params:
    """Numbers of every parameter, by its path alone."""
    tree: Params = {}
    for path, shape in shapes.items():
        *parents, leaf = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        gain = np.prod(shape[:-1]) ** -0.5 if leaf == "kernel" else 0.3
        node[leaf] = uniform(path, shape) * np.float32(gain) + np.float32(leaf == "scale")
    return tree


def random_params() -> Params:
    return {
        "text": random_tree(text_parameters(TEXT)),
        "vision": random_tree(vision_parameters(VISION)),
    }


def clip_settings() -> dict:
    vision = {
        "hidden_act": VISION.activation,
        "hidden_size": VISION.width,
        "image_size": VISION.image_size,
        "intermediate_size": VISION.mlp_width,
        "num_attention_heads": VISION.heads,
        "num_hidden_layers": VISION.layers,
        "patch_size": VISION.patch_size,
    }
    text = text_settings(TEXT)
    return {
        "model_type": "clip",
        "projection_dim": 24,
        "text_config": text | {"projection_dim": 512},  # which CLIPModel does not look at
        "vision_config": vision,
    }


def tiny_clip(folder: Path) -> Path:
    """The folder, with a tokenizer of its own."""
    folder.mkdir(parents=True)
    params, tensors = random_params(), {"logit_scale": in_memory(np.float32(4.6))}
    for part, shapes, slots in (
        ("text", text_parameters(TEXT), text_slots),
        ("vision", vision_parameters(VISION), vision_slots),
    ):
        tensors |= lay_out(slots(shapes), shapes, flatten(params[part]), part)
    (folder / "config.json").write_text(json.dumps(clip_settings()))
    write_safetensors(folder / "model.safetensors", tensors, {"format": "pt"})
    write_tokenizer(folder, Tokenizer(vocabulary_of(clip_vocabulary().merges[:100]), 16, 613))
    return folder
