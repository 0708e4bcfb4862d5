"""Flax's msgpack files, `diffusion_flax_model.msgpack` and `flax_model.msgpack`, read as PyTorch's.

A file is a map of maps, whose leaves are extensions of kind 1: a msgpack array of the shape, the
name of the dtype and the bytes. Format: https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

import math
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxsd.convert.files.tensors import DTYPES, MOST_AXES, FlatTree, LazyTensor
from jaxsd.terminal import printable

ENDING = ".msgpack"
_ARRAY = 1
"""Flax's code of the extension that is an array."""
_DEEPEST, _MOST_TENSORS, _LONGEST_NAME = 32, 50_000, 500
_LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight"}
_NUMBERED = re.compile(r"(?<!linear)_(\d+)$")
_SIZES = {
    "str": {0xD9: 1, 0xDA: 2, 0xDB: 4},
    "bin": {0xC4: 1, 0xC5: 2, 0xC6: 4},
    "map": {0xDE: 2, 0xDF: 4},
    "array": {0xDC: 2, 0xDD: 4},
    "ext": {0xC7: 1, 0xC8: 2, 0xC9: 4},
    "int": {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8},
}
"""First byte of a value -> bytes of its length, or of a number itself."""
_SHORT = (("map", 0x80, 0x8F), ("array", 0x90, 0x9F), ("str", 0xA0, 0xBF), ("int", 0x00, 0x7F))
"""Values whose first byte is also the length, or the number."""
_FIXED = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
"""Extensions of a fixed length."""


def read_flax(path: Path) -> FlatTree:
    """The tensors of a file under the names and in the shapes of PyTorch.

    Raises:
      ValueError: a file that is truncated, or that is no tree of arrays.
    """
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise ValueError(f"{path} is empty; download it again")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    reader = _Reader(data, str(path))
    tensors: FlatTree = {}
    for names, tensor in reader.leaves((), 0):
        name = torch_name(names)
        if len(tensors) >= _MOST_TENSORS or name in tensors:
            why = "is there twice" if name in tensors else f"is one of more than {_MOST_TENSORS}"
            raise reader.wrong(f"{name!r} {why}")
        tensors[name] = in_torch(names[-1], tensor)
    if reader.at != len(data):
        raise reader.wrong(f"{len(data) - reader.at} bytes follow its tree")
    return tensors


def torch_name(names: tuple[str, ...]) -> str:
    """The name of a leaf in PyTorch: of ("blocks_0", "conv", "kernel") `blocks.0.conv.weight`.

    diffusers joins the number of a list to its name, but for `linear_1` and `linear_2`.
    """
    *modules, leaf = names
    joined = [_NUMBERED.sub(r".\1", module) for module in modules]
    return ".".join([*joined, _LEAVES.get(leaf, leaf)])


def in_torch(leaf: str, tensor: LazyTensor) -> LazyTensor:
    """A kernel [H, W, I, O] or [I, O] as [O, I, H, W] or [O, I]; anything else as it is."""
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(len(tensor.shape))
    if leaf != "kernel" or axes is None:
        return tensor
    shape = tuple(tensor.shape[axis] for axis in axes)
    return tensor.transformed(shape, lambda array: array.transpose(axes))


class _Reader:
    """Goes through a file once, and notes where the numbers of each array are."""

    def __init__(self, data: mmap.mmap, where: str) -> None:
        self.data, self.where, self.at = data, where, 0

    def wrong(self, why: str) -> ValueError:
        """The error to raise."""
        return ValueError(printable(f"{self.where} is no whole msgpack file of Flax: {why}"))

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if self.at + count > len(self.data):
            need = self.at + count
            raise self.wrong(f"it has {len(self.data)} bytes, and needs {need} or more")
        self.at += count
        return self.data[self.at - count : self.at]

    def header(self) -> tuple[str, int]:
        """Kind of the next value, and its length, or the number that it is."""
        (first,) = self.take(1)
        for kind, low, high in _SHORT:
            if low <= first <= high:
                return kind, first - low
        if first in _FIXED:
            return "ext", _FIXED[first]
        for kind, sizes in _SIZES.items():
            if first in sizes:
                return kind, int.from_bytes(self.take(sizes[first]), "big")
        raise self.wrong(f"byte {self.at - 1} begins a value of kind {first:#x}")

    def expect(self, wanted: str) -> int:
        """The length of the next value, or the number.

        Raises:
          ValueError: it is of another kind.
        """
        at = self.at
        kind, length = self.header()
        if kind != wanted:
            raise self.wrong(f"byte {at} begins a value of kind {kind}, not {wanted}")
        return length

    def text(self) -> str:
        """The next value, a text."""
        length = self.expect("str")
        if length > _LONGEST_NAME:
            raise self.wrong(f"a name has {length} bytes, at most {_LONGEST_NAME} are read")
        text = self.take(length).decode(errors="replace")
        if not text.isprintable():
            raise self.wrong(f"{text!r} is no name")
        return text

    def leaves(self, names: tuple[str, ...], depth: int) -> Iterator[tuple[Any, LazyTensor]]:
        """Names and tensor of each leaf of the map that comes next."""
        if depth > _DEEPEST:
            raise self.wrong(f"maps are nested more than {_DEEPEST} deep")
        for _ in range(self.expect("map")):
            inner = (*names, self.text())
            start = self.at
            kind, length = self.header()
            if kind == "ext":
                yield inner, self.array("/".join(inner), length)
            elif kind == "map":
                self.at = start
                yield from self.leaves(inner, depth + 1)
            else:
                raise self.wrong(f"{'/'.join(inner)!r} is a value of kind {kind}, not an array")

    def array(self, name: str, length: int) -> LazyTensor:
        """The array in an extension of a length, whose numbers are read when they are wanted."""
        (code,) = self.take(1)
        end = self.at + length
        if code != _ARRAY or self.expect("array") != 3:
            raise self.wrong(f"{name!r} is an extension of kind {code}, which is no array")
        axes = self.expect("array")
        if axes > MOST_AXES:
            raise self.wrong(f"{name!r} has {axes} axes, at most {MOST_AXES}")
        shape = tuple(self.expect("int") for _ in range(axes))
        kind = self.text()
        if kind not in DTYPES:
            raise self.wrong(f"{name!r} is {kind}; allowed is {', '.join(DTYPES)}")
        count, dtype, start = math.prod(shape), DTYPES[kind], self.expect("bin")
        size, start = start, self.at
        if size != count * dtype.itemsize or start + size != end:
            raise self.wrong(f"{name!r} {kind} {list(shape)} has {size} bytes")
        if end > len(self.data):
            raise self.wrong(f"it has {len(self.data)} bytes, and needs {end} or more")
        self.at = end
        data = self.data

        def read() -> np.ndarray:
            return np.frombuffer(data, dtype, count, start).reshape(shape)

        return LazyTensor(shape, dtype, read)
