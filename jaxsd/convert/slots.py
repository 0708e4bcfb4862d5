"""Where each parameter lives in a file, and how a file's tensors become parameters and back.

A `Slot` ties one parameter to one tensor of a file, or to a third of one. Tables of slots are
generated from a model's numbers; reading and writing are the two directions of one table.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from jaxsd.convert.files.tensors import FlatTree, LazyTensor, is_floating
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.terminal import printable

Kind = Literal["conv", "dense", "pointwise", "same"]
"""How a file stores a parameter: "conv", [O, I, H, W] for our [H, W, I, O]; "dense", [O, I] for our
[I, O]; "pointwise", that as a 1x1 convolution [O, I, 1, 1]; "same", in our shape."""

_REMEDY = "; to read it without them, set strict to false (--no-strict)"
_SCALE = re.compile(r"\.(scale_weight|weight_scale(_2)?)$")
"""Tensors that weights of 8 or 4 bits are multiplied with, in ComfyUI's files and others."""
_PROJECTION = re.compile(r"/attentions_\d+/proj_(in|out)/kernel$")


class Slot(NamedTuple):
    """Parameter `path` is tensor `name` of the file, stored as `kind`.

    `third` is 0, 1 or 2 where the file fuses query, key and value along its first axis.
    """

    path: str
    name: str
    kind: Kind
    third: int | None = None


def leaf_kind(path: str, shape: tuple[int, ...]) -> Kind:
    """How PyTorch stores the parameter at `path`, going by its leaf and rank."""
    if not path.endswith("/kernel"):
        return "same"
    return "conv" if len(shape) == 4 else "dense"


def unet_kind(path: str, shape: tuple[int, ...], *, linear: bool) -> Kind:
    """How a U-Net's parameter is stored; without `linear`, transformers begin and end with 1x1
    convolutions.
    """
    if _PROJECTION.search(path) and not linear:
        return "pointwise"
    return leaf_kind(path, shape)


def _file_shape(shape: tuple[int, ...], kind: Kind) -> tuple[int, ...]:
    match kind:
        case "conv":
            return (shape[3], shape[2], shape[0], shape[1])
        case "dense":
            return shape[::-1]
        case "pointwise":
            return (*shape[::-1], 1, 1)
    return shape


def _to_file(array: np.ndarray, kind: Kind) -> np.ndarray:
    match kind:
        case "conv":
            return array.transpose(3, 2, 0, 1)
        case "dense":
            return array.T
        case "pointwise":
            return array.T[:, :, None, None]
    return array


def _from_file(array: np.ndarray, kind: Kind) -> np.ndarray:
    match kind:
        case "conv":
            return array.transpose(2, 3, 1, 0)
        case "dense" | "pointwise":
            return array.reshape(array.shape[:2]).T
    return array


def _fits(shape: tuple[int, ...], expected: tuple[int, ...], kind: Kind) -> bool:
    """Whether a file's shape is the expected one.

    Dense kernels come with trailing ones in many files (LDM's 1x1 convolutions [O, I, 1, 1], and
    [O, I, 1] of early conversions), which hold the same numbers.
    """
    if kind in ("dense", "pointwise"):
        return shape[:2] == expected[:2] and set(shape[2:]) <= {1}
    return shape == expected


def _third_of(tensor: LazyTensor, third: int) -> LazyTensor:
    size = tensor.shape[0] // 3
    shape = (size, *tensor.shape[1:])
    # A copy, since a view would keep all three in memory as long as one is used.
    return tensor.transformed(shape, lambda array: array[third * size : (third + 1) * size].copy())


def stacked(tensors: Sequence[LazyTensor]) -> LazyTensor:
    """Tensors of one width behind each other, along their first axis."""
    shape = (sum(tensor.shape[0] for tensor in tensors), *tensors[0].shape[1:])
    return LazyTensor(
        shape,
        np.result_type(*(tensor.dtype for tensor in tensors)),
        lambda: np.concatenate([tensor.read() for tensor in tensors]),
    )


class Mismatch(ValueError):
    """Tensors that are missing, unused or of the wrong shape, listed in one line."""

    def __init__(
        self,
        where: str,
        missing: Sequence[str],
        unused: Sequence[str],
        misshapen: Sequence[str],
        remedy: str = "",
    ) -> None:
        counts = (("missing", missing), ("unused", unused), ("misshapen", misshapen))
        parts = [f"{len(names)} {word}: {_some(names)}" for word, names in counts if names]
        super().__init__(printable(f"{where} does not fit: {'; '.join(parts)}") + remedy)


def _some(names: Iterable[str], limit: int = 6) -> str:
    names = sorted(names)
    rest = f", and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def tell_unused(where: str, names: Iterable[str]) -> None:
    """Says in one line which tensors of a file are left aside, if there are any."""
    names = list(names)
    if names:
        line = f"{where}: {len(names)} tensors are not used: {_some(names)}"
        warnings.warn(printable(line), stacklevel=3)


def fill(
    slots: Sequence[Slot],
    shapes: Shapes,
    tensors: FlatTree,
    where: str,
    *,
    strict: bool | None = None,
    file: str = "",
) -> FlatTree:
    """Path -> parameter, from a file's tensors. Every parameter is filled once, every tensor used.

    Args:
      slots: the file's layout, one for each path of `shapes`.
      tensors: the file's by name, without those that are no parameters.
      where: what to call the file in an error.
      strict: False leaves tensors aside that belong to no parameter, and says so; None where
        nobody can choose that.
      file: what to call the file in the line about those left aside; `where` if it is empty.

    Raises:
      Mismatch: naming what is missing, unused or of the wrong shape.
      ValueError: weights that are not numbers without a scale beside them.
    """
    tree: FlatTree = {}
    missing, misshapen = [], []
    for slot in slots:
        tensor = tensors.get(slot.name)
        expected = _file_shape(shapes[slot.path], slot.kind)
        if tensor is None:
            missing.append(slot.name)
            continue
        if slot.third is not None and tensor.shape and tensor.shape[0] % 3 == 0:
            tensor = _third_of(tensor, slot.third)
        if not is_floating(tensor.dtype):
            misshapen.append(f"{slot.name} {tensor.dtype} instead of numbers with a fraction")
            continue
        if not _fits(tensor.shape, expected, slot.kind):
            misshapen.append(f"{slot.name} {list(tensor.shape)} instead of {list(expected)}")
            continue
        tree[slot.path] = tensor.transformed(
            shapes[slot.path], lambda array, kind=slot.kind: _from_file(array, kind)
        )
    unused = tensors.keys() - {slot.name for slot in slots}
    if scale := next(filter(_SCALE.search, sorted(unused)), None):
        raise ValueError(
            printable(f"{where} has weights with scales ({scale}), which are not read; take them")
            + " as float16 or bfloat16"
        )
    if missing or misshapen or (unused and strict is not False):
        remedy = "" if missing or misshapen or strict is None else _REMEDY
        raise Mismatch(where, sorted(set(missing)), sorted(unused), misshapen, remedy)
    tell_unused(file or where, unused)
    return tree


def lay_out(slots: Sequence[Slot], shapes: Shapes, tree: FlatTree, where: str) -> FlatTree:
    """A file's tensors by name, from path -> parameter: the reverse of `fill`.

    Raises:
      Mismatch: if `tree` is not exactly the parameters of the model.
    """
    misshapen = [
        f"{path} {list(tree[path].shape)} instead of {list(shape)}"
        for path, shape in shapes.items()
        if path in tree and tree[path].shape != shape
    ]
    missing, unused = shapes.keys() - tree.keys(), tree.keys() - shapes.keys()
    if missing or misshapen or unused:
        raise Mismatch(where, sorted(missing), sorted(unused), misshapen)
    groups: dict[str, list[LazyTensor]] = {}
    for slot in sorted(slots, key=lambda slot: slot.third or 0):
        tensor = tree[slot.path].transformed(
            _file_shape(shapes[slot.path], slot.kind),
            lambda array, kind=slot.kind: _to_file(array, kind),
        )
        groups.setdefault(slot.name, []).append(tensor)
    return {
        name: tensors[0] if len(tensors) == 1 else stacked(tensors)
        for name, tensors in groups.items()
    }
