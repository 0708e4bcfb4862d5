"""GGUF, the format of ggml's programs: a table of values, a table of tensors, and their blocks.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Quantised blocks become float32
when they are read (`gguf_blocks.py`).
"""

import math
import mmap
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsd.convert.files.gguf_blocks import KINDS, Blocks
from jaxsd.convert.files.mapping import mapped
from jaxsd.convert.files.tensors import FlatTree, LazyTensor
from jaxsd.terminal import printable

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_TENSORS = 50_000
_MOST_VALUES = 1_000_000
"""Elements of arrays in the table of values."""
_LONGEST = 2**20
_MOST_AXES = 4
_ALIGNMENT = "general.alignment"
_SHAPE = "comfy.gguf.orig_shape."
"""Before the name of a tensor: the shape that it had before its rows were cut into blocks."""
_NUMBERS = dict(enumerate("BbHhIif?", 0)) | {10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9


class _Cursor:
    """Reads little-endian values one after the other, and never beyond the end."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self.data, self.path, self.at, self.values = data, path, len(MAGIC), 0

    def bytes(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError(f"{self.path} is truncated: its tables do not end")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self.bytes(struct.calcsize(f"<{code}")))[0]

    def text(self) -> str:
        length = self.number("Q")
        if length > _LONGEST:
            raise ValueError(f"{self.path} has a text of {length} bytes; {_LONGEST} are possible")
        return self.bytes(length).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        """A value of the table; arrays may not be nested."""
        if kind == _TEXT:
            return self.text()
        if kind == _ARRAY:
            kind, count = self.number("I"), self.number("Q")
            self.values += count
            if self.values > _MOST_VALUES or kind == _ARRAY:
                raise ValueError(f"{self.path} has an array that is too large or nested")
            return [self.value(kind) for _ in range(count)]
        if kind not in _NUMBERS:
            raise ValueError(f"{self.path} has a value of the unknown kind {kind}")
        return self.number(_NUMBERS[kind])


class _Entry(NamedTuple):
    """A row of the table of tensors."""

    name: str
    shape: tuple[int, ...]
    blocks: Blocks
    offset: int


def read_gguf(path: Path) -> tuple[FlatTree, dict[str, str]]:
    """The tensors of a file by name, in PyTorch's shapes, and the texts of its table.

    Raises:
      ValueError: if the file is truncated, or has what is not known here; it names the tensor.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    cursor = _Cursor(data, path)
    version, count, pairs = (cursor.number(code) for code in "IQQ")
    if version not in _VERSIONS:
        raise ValueError(f"{path} is GGUF of version {version}; 2 and 3 are read")
    if max(count, pairs) > _MOST_TENSORS:
        raise ValueError(f"{path} has {max(count, pairs)} entries; {_MOST_TENSORS} are possible")
    table = {cursor.text(): cursor.value(cursor.number("I")) for _ in range(pairs)}
    entries = [_entry(cursor) for _ in range(count)]
    unit = table.get(_ALIGNMENT, 32)
    if not isinstance(unit, int) or unit < 1:
        raise ValueError(f"{path}: {_ALIGNMENT} is {printable(str(unit), 40)}")
    start = -(-cursor.at // unit) * unit
    tensors: FlatTree = {}
    for entry in entries:
        if entry.name in tensors:
            raise ValueError(printable(f"{path} has {entry.name!r} twice"))
        shape = _shape(table.get(_SHAPE + entry.name), entry, path)
        if start + entry.offset + _size(entry, path) > len(data):
            line = f"{path} is truncated: it ends before {entry.name!r} does"
            raise ValueError(printable(line))
        tensors[entry.name] = _lazy(path, start + entry.offset, shape, entry)
    return tensors, {name: value for name, value in table.items() if isinstance(value, str)}


def _entry(cursor: _Cursor) -> _Entry:
    name, axes = cursor.text(), cursor.number("I")
    if axes > _MOST_AXES:
        raise ValueError(printable(f"{cursor.path}: {name!r} has {axes} axes; 4 are possible"))
    shape = tuple(cursor.number("Q") for _ in range(axes))[::-1]
    kind, offset = cursor.number("I"), cursor.number("Q")
    if kind not in KINDS:
        known = ", ".join(one.name for one in KINDS.values())
        line = f"{cursor.path}: {name!r} is of kind {kind} of ggml; read are {known}"
        raise ValueError(printable(line))
    return _Entry(name, shape, KINDS[kind], offset)


def _shape(stated: Any, entry: _Entry, path: Path) -> tuple[int, ...]:
    """The shape of a tensor, which may have been another one than that of its blocks."""
    if stated is None:
        return entry.shape
    good = isinstance(stated, list) and all(isinstance(n, int) and n >= 0 for n in stated)
    if not good or math.prod(stated) != math.prod(entry.shape):
        raise ValueError(printable(f"{path}: the stated shape of {entry.name!r} is wrong"))
    return tuple(stated)


def _size(entry: _Entry, path: Path) -> int:
    """Bytes of a tensor's blocks."""
    blocks, numbers = entry.blocks, math.prod(entry.shape)
    if numbers % blocks.numbers or (entry.shape and entry.shape[-1] % blocks.numbers):
        raise ValueError(
            printable(f"{path}: rows of {entry.name!r} are no whole blocks of {blocks.name}")
        )
    return numbers // blocks.numbers * blocks.bytes


def _lazy(path: Path, first: int, shape: tuple[int, ...], entry: _Entry) -> LazyTensor:
    """A tensor whose blocks are mapped when it is read, so that they are not resident after it."""
    blocks, size = entry.blocks, _size(entry, path)

    def read() -> np.ndarray:
        return blocks.unpack(mapped(path, first, size).reshape(-1, blocks.bytes)).reshape(shape)

    return LazyTensor(shape, blocks.dtype, read)
