"""ControlNets that are stored as changes to a U-Net: Control-LoRAs, and files of differences.

Stability AI's Control-LoRA has the hint network, the zero convolutions, norms and biases whole. For
a kernel W of the U-Net's encoder it has two factors, `NAME.up` [O, r] and `NAME.down` [r, I, ...].
The ControlNet's kernel is W + up @ down; the window of a convolution counts as further columns. A
file of differences has W' - W. Tensors that a file does not have are the U-Net's own.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from jaxsd.config import ControlNetConfig
from jaxsd.convert.adapter_parameters import controlnet_parameters
from jaxsd.convert.files.tensors import FlatTree, LazyTensor, in_memory
from jaxsd.convert.parameters import unet_parameters
from jaxsd.convert.slots import Mismatch, Slot, lay_out


def encoder_tensors(config: ControlNetConfig, slots: list[Slot], unet: FlatTree) -> FlatTree:
    """A U-Net's encoder half, under the names that a ControlNet's `slots` have for its copy.

    `unet` is path -> parameter of the whole U-Net.

    Raises:
      Mismatch: if it is not the U-Net of `config`.
    """
    both = unet_parameters(config.unet)
    copied = {path: both[path] for path in controlnet_parameters(config) if path in both}
    tree = {path: tensor for path, tensor in unet.items() if path in copied}
    slots = [slot for slot in slots if slot.path in copied]
    return lay_out(slots, copied, tree, "the U-Net's tree")


def with_factors(tensors: FlatTree, unet: FlatTree) -> FlatTree:
    """The whole tensors of a Control-LoRA; factors that belong to no kernel stay as they are."""
    whole = unet | tensors
    for name in tensors:
        module, _, role = name.rpartition(".")
        kernel, down = f"{module}.weight", f"{module}.down"
        if role == "up" and down in whole and kernel in whole:
            whole[kernel] = _sum(kernel, whole[kernel], [whole.pop(name), whole.pop(down)])
    return whole


def factored(tensors: FlatTree, unet: FlatTree, rank: int) -> FlatTree:
    """A Control-LoRA's tensors, from a whole ControlNet and the U-Net's encoder under its names.

    The factors of a kernel's change are those of its largest singular values: the nearest product
    of that rank (Eckart and Young 1936). Kernels that factors would not make smaller, and all other
    tensors, stay whole.
    """
    stored = {"lora_controlnet": in_memory(np.zeros(0, np.float32))}
    for name, tensor in tensors.items():
        module, _, role = name.rpartition(".")
        rows, columns = _matrix(tensor.shape)
        if name not in unet or role != "weight" or rank * (rows + columns) >= rows * columns:
            stored[name] = tensor
            continue
        own = tensor.read().astype(np.float32)
        change = own - unet[name].read().astype(np.float32).reshape(own.shape)
        up, values, down = np.linalg.svd(change.reshape(rows, columns), full_matrices=False)
        root = np.sqrt(values[:rank])
        stored[f"{module}.up"] = in_memory(up[:, :rank] * root)
        factor = root[:, None] * down[:rank]
        stored[f"{module}.down"] = in_memory(factor.reshape(-1, *tensor.shape[1:]))
    return stored


def with_differences(tensors: FlatTree, unet: FlatTree) -> FlatTree:
    """The whole tensors of a file of differences."""
    sums = {name: _sum(name, unet[name], [tensors[name]]) for name in unet if name in tensors}
    return unet | tensors | sums


CHANGES: dict[str, Callable[[FlatTree, FlatTree], FlatTree]] = {
    "lora_controlnet": with_factors,
    "difference": with_differences,
}
"""Empty tensor that marks a file -> function from its tensors and the U-Net's to whole ones."""


def _sum(name: str, tensor: LazyTensor, factors: list[LazyTensor]) -> LazyTensor:
    """A tensor of the U-Net plus the product of one or two factors, in float32.

    All are treated as matrices: the axes after the first are columns.
    """
    matrices = [_matrix(factor.shape) for factor in factors]
    fits = all(left[1] == right[0] for left, right in pairwise(matrices))
    if not fits or (matrices[0][0], matrices[-1][1]) != _matrix(tensor.shape):
        given = " @ ".join(str(list(factor.shape)) for factor in factors)
        what = f"the change of {name}, {given}, does not make {list(tensor.shape)}"
        raise Mismatch("it", (), (), [what])

    def read() -> np.ndarray:
        change, *rest = (
            factor.read().astype(np.float32).reshape(shape)
            for factor, shape in zip(factors, matrices, strict=True)
        )
        for factor in rest:
            change = change @ factor
        return tensor.read().astype(np.float32) + change.reshape(tensor.shape)

    return LazyTensor(tensor.shape, np.dtype(np.float32), read)


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a tensor of this shape."""
    return math.prod(shape[:1]), math.prod(shape[1:])
