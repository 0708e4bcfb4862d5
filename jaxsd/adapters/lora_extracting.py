"""A LoRA of a difference of weights, as ComfyUI's node LoraSave extracts and names it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxsd.adapters.lora_names import AdaptedKernel, adapted_kernels
from jaxsd.config import ModelSpec
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import FlatTree, in_memory
from jaxsd.convert.slots import Slot, lay_out

QUANTILE = 0.99
"""Of all factors of a kernel, at which they are cut."""


def low_rank(difference: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors `up` and `down` of the best approximation of a rank (Eckart & Young 1936), cut.

    Args:
      difference: [O, I] or [O, I, h, w], as PyTorch has kernels.
      rank: at most that of the kernel is taken.

    Returns:
      [O, r] and [r, I], or [O, r, 1, 1] and [r, I, h, w]; float32.
    """
    outputs, inputs, *window = difference.shape
    rank = min(rank, outputs, inputs)
    matrix = np.asarray(difference, np.float32).reshape(outputs, -1)
    u, s, vh = np.linalg.svd(matrix, full_matrices=False)
    up, down = u[:, :rank] * s[:rank], vh[:rank]
    bound = np.quantile(np.concatenate([up.ravel(), down.ravel()]), QUANTILE)
    up, down = np.clip(up, -bound, bound), np.clip(down, -bound, bound)
    if window:
        return up.reshape(outputs, rank, 1, 1), down.reshape(rank, inputs, *window)
    return up, down


def write_extracted(
    path: Path,
    difference: Mapping[str, Any],
    spec: ModelSpec,
    *,
    rank: int | None,
    biases: bool,
) -> None:
    """Write the LoRA of a difference, in float16 and ComfyUI's names.

    Tables of embeddings are left out.

    Args:
      path: of the file.
      difference: "unet" and "text", or one of them: trees as a pipeline's.
      spec: of the model.
      rank: of the factors; None to write differences of kernels as they are.
      biases: whether the differences of biases, and with a rank those of the scales of norms, are
        written too.
    """
    tensors: FlatTree = {}
    for kernel in adapted_kernels(spec).values():
        if kernel.path.partition("/")[0] not in difference:
            continue
        weight = _torch_tensor(difference, kernel)
        if rank is None or (weight.ndim < 2 and biases):
            tensors[f"{kernel.comfy}.diff"] = _half(weight)
        elif weight.ndim >= 2:
            up, down = low_rank(weight, rank)
            tensors[f"{kernel.comfy}.lora_up.weight"] = _half(up)
            tensors[f"{kernel.comfy}.lora_down.weight"] = _half(down)
        if biases and kernel.bias:
            bias = _leaf(difference, f"{kernel.path.rpartition('/')[0]}/bias")
            tensors[f"{kernel.comfy}.diff_b"] = _half(bias)
    write_safetensors(path, tensors, {"format": "pt"})


def _torch_tensor(difference: Mapping[str, Any], kernel: AdaptedKernel) -> np.ndarray:
    own = {kernel.path: in_memory(_leaf(difference, kernel.path))}
    slots = [Slot(kernel.path, kernel.comfy, kernel.kind)]
    return lay_out(slots, {kernel.path: kernel.shape}, own, "the difference")[kernel.comfy].read()


def _leaf(tree: Any, path: str) -> np.ndarray:
    """The array at a path, whose lists are numbered."""
    for part in path.split("/"):
        tree = tree[int(part) if isinstance(tree, list | tuple) else part]
    return np.asarray(tree, np.float32)


def _half(array: np.ndarray) -> Any:
    return in_memory(np.ascontiguousarray(array, np.float16))
