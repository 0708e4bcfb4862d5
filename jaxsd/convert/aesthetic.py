"""LAION's predictors of ratings, from their files: linear layers over CLIP's embeddings."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsd.convert.files.weight_files import open_weights


class Linear(NamedTuple):
    """A linear layer."""

    kernel: np.ndarray  # [in, out] float32
    bias: np.ndarray  # [out] float32


def read_predictor(path: str | Path) -> tuple[Linear, ...]:
    """The layers of a predictor, one after the other; nothing is between them.

    Args:
      path: a state dict as .pth or .safetensors: `weight` and `bias` (LAION-AI's
        `sa_0_4_vit_l_14_linear.pth`), or several layers by number (`layers.0.weight`, of
        `sac+logos+ava1-l14-linearMSE.pth`). Nothing of it is run.

    Raises:
      ValueError: other names, or layers that do not follow each other to one number.
      FileNotFoundError: no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no aesthetic predictor at {path}: no such file")
    tensors, _ = open_weights(path)
    numbers: dict[int, str] = {}
    for name in tensors:
        found = re.fullmatch(r"(layers\.(\d+)\.)?(weight|bias)", name)
        if not found:
            raise ValueError(f"{path} has {name}, which no aesthetic predictor has")
        numbers[int(found[2] or 0)] = found[1] or ""
    layers = []
    for _, prefix in sorted(numbers.items()):
        weight, bias = (tensors.get(prefix + end) for end in ("weight", "bias"))
        if weight is None or bias is None:
            raise ValueError(f"{path} has {prefix}weight or {prefix}bias, and not the other")
        layers.append(Linear(np.float32(weight.read()).T, np.float32(bias.read())))
    widths = [layer.kernel.shape for layer in layers]
    ends = [len(layer.bias) for layer in layers]
    joined = all(len(width) == 2 for width in widths) and [w[1] for w in widths] == ends
    if not joined or [w[0] for w in widths[1:]] + [1] != ends:
        raise ValueError(f"{path}: layers {widths} do not follow each other to one number")
    return tuple(layers)
