"""IP-Adapters of random weights in the layout of Tencent's files, by the names that those have."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tiny_models import uniform

from jaxsd.config import UNetConfig
from jaxsd.convert.ip_adapter import cross_attentions

TOKENS = 4
HEADS, HIDDEN = 2, 24
Tensors = dict[str, np.ndarray]


def _dense(name: str, inputs: int, outputs: int, *, bias: bool = True) -> Tensors:
    made = {f"{name}.weight": uniform(name, (outputs, inputs)) / np.float32(inputs**0.5)}
    return made | ({f"{name}.bias": 0.1 * uniform(f"{name}+", (outputs,))} if bias else {})


def _norm(name: str, width: int) -> Tensors:
    scale = 1 + 0.1 * uniform(name, (width,))
    return {f"{name}.weight": scale, f"{name}.bias": 0.1 * uniform(f"{name}+", (width,))}


def plain(inputs: int, width: int) -> Tensors:
    """`ip-adapter_sd15`: one dense layer."""
    return _dense("proj", inputs, TOKENS * width) | _norm("norm", width)


def full(inputs: int, width: int) -> Tensors:
    """`ip-adapter-full-face_sd15`: two dense layers."""
    layers = _dense("proj.0", inputs, inputs) | _dense("proj.2", inputs, width)
    return layers | _norm("proj.3", width)


def face(inputs: int, width: int) -> Tensors:
    """`ip-adapter-faceid_sd15`: two dense layers of an embedding."""
    layers = _dense("proj.0", inputs, 2 * inputs) | _dense("proj.2", 2 * inputs, TOKENS * width)
    return layers | _norm("norm", width)


def lora_within(unet: UNetConfig, rank: int = 3) -> Tensors:
    """The LoRA that a FaceID has for all attentions, self-attentions too."""
    made: Tensors = {}
    for i, (_, width) in enumerate(cross_attentions(unet)):
        for number, seen in ((2 * i, width), (2 * i + 1, unet.context_dim)):
            inputs = {"q": width, "k": seen, "v": seen, "out": width}
            for name, size in inputs.items():
                own = f"ip_adapter.{number}.to_{name}_lora"
                made |= _dense(f"{own}.down", size, rank, bias=False)
                made |= _dense(f"{own}.up", rank, width, bias=False)
    return made


def plus(inputs: int, width: int) -> Tensors:
    """`ip-adapter-plus_sd15`: a transformer of four layers."""
    inner = 64 * HEADS
    made = {"latents": uniform("latents", (1, TOKENS, HIDDEN))}
    made |= _dense("proj_in", inputs, HIDDEN) | _dense("proj_out", HIDDEN, width)
    made |= _norm("norm_out", width)
    for i in range(4):
        attention, mlp = f"layers.{i}.0", f"layers.{i}.1"
        made |= _norm(f"{attention}.norm1", HIDDEN) | _norm(f"{attention}.norm2", HIDDEN)
        made |= _dense(f"{attention}.to_q", HIDDEN, inner, bias=False)
        made |= _dense(f"{attention}.to_kv", HIDDEN, 2 * inner, bias=False)
        made |= _dense(f"{attention}.to_out", inner, HIDDEN, bias=False)
        made |= _norm(f"{mlp}.0", HIDDEN)
        made |= _dense(f"{mlp}.1", HIDDEN, 4 * HIDDEN, bias=False)
        made |= _dense(f"{mlp}.3", 4 * HIDDEN, HIDDEN, bias=False)
    return made


def adapter_tensors(unet: UNetConfig, projection: Tensors) -> Tensors:
    """A whole adapter: every second attention of diffusers' list has kernels."""
    made = {f"image_proj.{name}": tensor for name, tensor in projection.items()}
    for i, (_, width) in enumerate(cross_attentions(unet)):
        for name in ("to_k_ip", "to_v_ip"):
            made |= _dense(f"ip_adapter.{2 * i + 1}.{name}", unet.context_dim, width, bias=False)
    return made


def write_adapter(
    path: Path, unet: UNetConfig, projection: Tensors, more: Tensors | None = None
) -> Path:
    """The same as a file, with more tensors."""
    tensors = adapter_tensors(unet, projection) | (more or {})
    save_file({n: np.float32(t) for n, t in tensors.items()}, path)
    return path
