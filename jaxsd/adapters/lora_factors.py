"""Factors in LoRA files: where they lie, their shapes, and whether these fit the kernels."""

import math
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path

import jax
import numpy as np

from jaxsd.adapters.kinds import KINDS, Shape, changed, kind_of
from jaxsd.adapters.lora_names import AdaptedKernel
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.slots import Mismatch, Slot
from jaxsd.terminal import printable

Keys = dict[str, dict[str, str]]
"""Path of a kernel -> role of a factor -> its name in a file."""


def magnitude(
    path: Path,
    apart: Mapping[str, Mapping[str, str]],
    name: str,
    tensors: FlatTree,
    kernel: AdaptedKernel,
) -> FlatTree:
    """DoRA's magnitude, [out], or [in, 1] where LyCORIS has it by inputs."""
    for role in ("dora", "magnitude"):
        if key := apart[role].get(name):
            tensor = tensors[key]
            by_inputs = role == "dora" and tensor.shape[:1] == (1,)
            shape = (kernel.shape[-2], 1) if by_inputs else kernel.shape[-1:]
            if math.prod(tensor.shape) != math.prod(shape):
                misshapen = f"{key} {list(tensor.shape)} instead of {list(shape)}"
                raise Mismatch(str(path), (), (), [misshapen])
            return {"magnitude": tensor.transformed(shape, partial(np.reshape, shape=shape))}
    return {}


def check_fits(path: Path, name: str, factors: FlatTree, kernel: AdaptedKernel) -> None:
    """Checks that factors are those of one kind, and that they make a change of the kernel.

    Raises:
      ValueError: they are not, and do not.
    """
    if kind_of(factors) is None:
        some = ", ".join(sorted(factors))
        known = "; ".join(f"{n}: {' '.join(sorted(k.forms[0]))}" for n, k in KINDS.items())
        raise ValueError(printable(f"{path} has {some} of {name}, which is none of {known}"))
    shapes = tuple((role, tensor.shape) for role, tensor in sorted(factors.items()))
    if not _makes(shapes, kernel.shape):
        sizes = ", ".join(f"{role} {list(shape)}" for role, shape in shapes)
        wanted = f"{sizes} instead of what makes {list(kernel.shape)}"
        raise Mismatch(str(path), (), (), [f"{name}: {wanted}"])


@lru_cache(maxsize=256)
def _makes(factors: tuple[tuple[str, Shape], ...], kernel: Shape) -> bool:
    """Whether factors of such shapes make a change of a kernel; most kernels have few shapes."""
    shapes = {role: jax.ShapeDtypeStruct(shape, np.float32) for role, shape in factors}
    shapes["alpha"] = jax.ShapeDtypeStruct((), np.float32)
    try:
        jax.eval_shape(changed, jax.ShapeDtypeStruct(kernel, np.float32), shapes, 1.0)
    except (IndexError, TypeError, ValueError, ZeroDivisionError):
        return False
    return True


def ranks_of(keys: Keys, tensors: FlatTree) -> dict[str, int]:
    """The rank of each kernel's factors, from `up`, or from `down` if there is no `up`."""
    ranks = {}
    for name, roles in keys.items():
        axis, role = (1, "up") if "up" in roles else (0, "down")
        shape = tensors[roles[role]].shape if role in roles else ()
        ranks[name] = max(1, shape[axis]) if len(shape) > axis else 1
    return ranks


def scalar(path: Path, key: str, tensors: FlatTree) -> float:
    """The number that a tensor is, such as alpha.

    Raises:
      ValueError: it has more than one element, or is not finite.
    """
    shape = tensors[key].shape
    if math.prod(shape) != 1:
        raise ValueError(printable(f"{path}: {key} is {list(shape)} instead of one number"))
    value = float(tensors[key].read().reshape(()))
    if not math.isfinite(value):
        raise ValueError(printable(f"{path}: {key} is {value}, which is not a finite number"))
    return value


def layout(
    keys: Keys, kernels: Mapping[str, AdaptedKernel], ranks: Mapping[str, int]
) -> tuple[list[Slot], Shapes]:
    """Slots and shapes of LoRA's factors of some kernels; paths end with the factor's role."""
    slots: list[Slot] = []
    shapes: Shapes = {}
    for name, roles in keys.items():
        kernel = kernels[name]
        for role, shape in _shapes(kernel.shape, ranks[name], "mid" in roles).items():
            place = f"{name}/{role}"
            slots.append(Slot(place, roles.get(role, f"{role} of {name}"), kernel.kind))
            shapes[place] = shape
    return slots, shapes


def _shapes(kernel: tuple[int, ...], rank: int, twice: bool) -> Shapes:
    """Shapes of the factors of a kernel; `twice` if there is a `mid` factor."""
    *window, inputs, outputs = kernel
    point = [1 for _ in window]
    shapes = {"down": (*(point if twice else window), inputs, rank), "up": (*point, rank, outputs)}
    return shapes | ({"mid": (*window, rank, rank)} if twice else {})
