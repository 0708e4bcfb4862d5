"""Files that PEFT itself wrote: their names, and its IA3 in LyCORIS' form."""

from pathlib import Path

import numpy as np

from jaxsd.adapters.lora_names import adapted_kernels, spellings
from jaxsd.config import ModelSpec
from jaxsd.convert.files.tensors import FlatTree, LazyTensor, in_memory
from jaxsd.terminal import printable

_OUTSIDE = "base_model.model."
"""What PEFT puts before all names of the model."""
_IA3 = ".ia3_l"


def of_peft(path: Path, tensors: FlatTree, spec: ModelSpec) -> FlatTree:
    """A file's tensors without the names of PEFT's own modules.

    IA3 (Liu et al. 2022) has factors l where LyCORIS has l - 1, [out, 1] or [1, in].

    Raises:
      ValueError: IA3 of a convolution, or of outputs with a bias, which it scales as well.
    """
    found: FlatTree = {}
    for key, tensor in tensors.items():
        name = key.removeprefix(_OUTSIDE)
        if not name.endswith(_IA3):
            found[name] = tensor
            continue
        module = name.removesuffix(_IA3)
        on_input = _on_input(path, key, module, tensor, spec)
        found[f"{module}.weight"] = tensor.transformed(tensor.shape, _less_one)
        found[f"{module}.on_input"] = in_memory(np.array(on_input))
    return found


def _less_one(factors: np.ndarray) -> np.ndarray:
    return factors.astype(np.float32) - 1


def _on_input(path: Path, key: str, module: str, tensor: LazyTensor, spec: ModelSpec) -> bool:
    if len(tensor.shape) != 2 or 1 not in tensor.shape:
        raise ValueError(
            printable(f"{path}: {key} {list(tensor.shape)} is not [out, 1] or [1, in], as IA3 of a")
            + " dense layer has; merge such a file by PEFT (merge_and_unload)"
        )
    kernel = adapted_kernels(spec).get(spellings(spec).get(module, ""))
    on_input = tensor.shape[0] == 1
    if kernel is not None and kernel.bias and not on_input:
        raise ValueError(
            printable(f"{path}: {key} scales a bias as well, which is not read; merge such a file ")
            + "by PEFT (merge_and_unload)"
        )
    return on_input
