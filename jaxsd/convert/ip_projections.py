"""The networks that make tokens in an IP-Adapter: their numbers, parameters and names in files."""

import re

from jaxsd.config import FaceConfig, PerceptronConfig, ProjectionConfig, ResamplerConfig
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.layer_shapes import Shapes, dense, norm
from jaxsd.convert.slots import Slot, leaf_kind

_HEAD_WIDTH = 64
PROJECTION = "image_proj."
"""What their names in files begin with."""
_PERCEPTRON = {"fc1": "proj.0", "fc2": "proj.2", "norm": "proj.3"}
_FACE = {"fc1": "proj.0", "fc2": "proj.2"}
_ATTENTION = ("norm1", "norm2", "to_q", "to_kv", "to_out")
_RESAMPLER = {name: f"0.{name}" for name in _ATTENTION} | {
    "norm3": "1.0",
    "fc1": "1.1",
    "fc2": "1.3",
}
"""Our names of layers -> those in files."""
_NAMES = {PerceptronConfig: _PERCEPTRON, FaceConfig: _FACE}

Projecting = ProjectionConfig | PerceptronConfig | FaceConfig | ResamplerConfig


def projection_config(shapes: FileShapes) -> Projecting:
    """The numbers of the network that makes tokens, by the shapes of its tensors.

    Raises:
      ValueError: a tensor is missing, or of the wrong shape.
    """
    if "proj.3.weight" in shapes:
        return PerceptronConfig(shapes.size("proj.0.weight", 1), shapes.size("proj.3.weight", 0))
    if "proj.0.weight" in shapes:
        width = shapes.size("norm.weight", 0)
        tokens = shapes.size("proj.2.weight", 0) // max(1, width)
        hidden, inputs = (shapes.size("proj.0.weight", axis) for axis in (0, 1))
        return FaceConfig(inputs, hidden, tokens, width)
    if "latents" not in shapes:
        width = shapes.size("norm.weight", 0)
        tokens = shapes.size("proj.weight", 0) // max(1, width)
        return ProjectionConfig(shapes.size("proj.weight", 1), tokens, width)
    return ResamplerConfig(
        inputs=shapes.size("proj_in.weight", 1),
        tokens=shapes.size("latents", 1),
        width=shapes.size("proj_out.weight", 0),
        hidden=shapes.size("latents", 2),
        layers=shapes.count("layers."),
        heads=shapes.size("layers.0.0.to_q.weight", 0) // _HEAD_WIDTH,
        mlp_width=shapes.size("layers.0.1.1.weight", 0),
    )


def projection_parameters(config: Projecting) -> Shapes:
    """Path -> shape of the network that makes tokens."""
    inputs, width = config.inputs, config.width
    if isinstance(config, ProjectionConfig):
        return dense("proj", inputs, config.tokens * width) | norm("norm", width)
    if isinstance(config, PerceptronConfig):
        layers = dense("fc1", inputs, inputs) | dense("fc2", inputs, width)
        return layers | norm("norm", width)
    if isinstance(config, FaceConfig):
        layers = dense("fc1", inputs, config.hidden)
        layers |= dense("fc2", config.hidden, config.tokens * width)
        return layers | norm("norm", width)
    hidden, inner = config.hidden, config.heads * _HEAD_WIDTH
    shapes = {"latents": (1, config.tokens, hidden), **dense("proj_in", inputs, hidden)}
    for layer in (f"layers_{i}" for i in range(config.layers)):
        for name in ("norm1", "norm2", "norm3"):
            shapes |= norm(f"{layer}/{name}", hidden)
        shapes |= {
            f"{layer}/to_q/kernel": (hidden, inner),
            f"{layer}/to_kv/kernel": (hidden, 2 * inner),
            f"{layer}/to_out/kernel": (inner, hidden),
            f"{layer}/fc1/kernel": (hidden, config.mlp_width),
            f"{layer}/fc2/kernel": (config.mlp_width, hidden),
        }
    return shapes | dense("proj_out", hidden, width) | norm("norm_out", width)


def projection_slots(config: Projecting) -> list[Slot]:
    """Where each parameter lies in a file; paths begin with `projection/`."""
    names = _NAMES.get(type(config), _RESAMPLER)
    slots = []
    for path, shape in projection_parameters(config).items():
        name = re.sub(r"layers_(\d+)/(\w+)", lambda found: f"layers.{found[1]}.{found[2]}", path)
        for own, other in names.items():
            name = re.sub(rf"\b{own}\b", other, name)
        name = re.sub(r"/(kernel|scale)$", ".weight", name).replace("/bias", ".bias")
        slots.append(Slot(f"projection/{path}", PROJECTION + name, leaf_kind(path, shape)))
    return slots
