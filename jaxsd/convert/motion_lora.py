"""Motion LoRAs: low-rank changes of the attention of motion modules, as of cameras that move."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxsd.convert.files.tensors import FlatTree, LazyTensor
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.motion import modern
from jaxsd.terminal import printable

_KEY = re.compile(
    r"(?:unet\.)?(?P<module>\w+_blocks?(?:\.\d+)?\.motion_modules\.\d+\.transformer_blocks\.\d+"
    r"\.attn[12])\.(?:processor\.)?(?P<kernel>to_[qkv]|to_out)(?:\.0)?[._]lora[._]"
    r"(?P<role>down|up|A|B)\.weight"
)
_ROLES = {"down": "down", "A": "down", "up": "up", "B": "up"}


def with_loras(tensors: FlatTree, loras: Sequence[tuple[Path, float]]) -> FlatTree:
    """Motion modules with files of LoRAs, each times its weight, added to their kernels.

    Args:
      tensors: of motion modules, by our paths.
      loras: files of AnimateDiff's own code, of diffusers or of PEFT; their alpha is the rank.

    Raises:
      ValueError: one line: a file is none, or one of other modules.
      OSError: there is no such file.
    """
    tensors = dict(tensors)
    for path, weight in loras:
        for name, (down, up) in _pairs(path, tensors).items():
            tensors[name] = _added(tensors[name], down, up, weight)
    return tensors


def _pairs(path: Path, kernels: FlatTree) -> dict[str, tuple[LazyTensor, LazyTensor]]:
    """Our path of a kernel -> its factors [rank, in] and [out, rank]."""
    found: dict[str, dict[str, LazyTensor]] = {}
    for name, tensor in modern(open_weights(path)[0]).items():
        if (match := _KEY.fullmatch(name)) is None:
            raise ValueError(printable(f"{path} is no LoRA of motion modules: it has {name}"))
        module = re.sub(r"\.(\d+)(?=\.)", r"_\1", match["module"]).replace(".", "/")
        kernel = match["kernel"] + "_0" * (match["kernel"] == "to_out")
        found.setdefault(f"{module}/{kernel}/kernel", {})[_ROLES[match["role"]]] = tensor
    for name, factors in found.items():
        shapes = {role: tensor.shape for role, tensor in factors.items()}
        inputs, outputs = kernels[name].shape if name in kernels else (0, 0)
        rank = next(iter(shapes.get("down", ())), 0)
        if shapes != {"down": (rank, inputs), "up": (outputs, rank)}:
            raise ValueError(f"{path} is a LoRA of other motion modules: {name} {shapes}")
    return {name: (factors["down"], factors["up"]) for name, factors in found.items()}


def _added(kernel: LazyTensor, down: LazyTensor, up: LazyTensor, weight: float) -> LazyTensor:
    def change(array: np.ndarray) -> np.ndarray:
        own = (up.read().astype(np.float32) @ down.read().astype(np.float32)).T
        return (array.astype(np.float32) + weight * own).astype(array.dtype)

    return kernel.transformed(kernel.shape, change)
