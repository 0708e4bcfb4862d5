"""PyTorch's `.bin`, `.ckpt`, `.pt` and `.pth` files, without PyTorch.

Tensors are records into storages (`torch_storages`), which stay on disk until they are read.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from jaxsd.convert.files.pickle_names import TensorRecord
from jaxsd.convert.files.tensors import FlatTree, LazyTensor
from jaxsd.convert.files.torch_storages import (
    ZIP_DAMAGE,
    Place,
    dtype_of,
    read_legacy,
    read_zip,
)
from jaxsd.terminal import printable

_WRAPPED_LIMIT = 8
_DEPTH_LIMIT = 32
_ITEM_LIMIT = 100_000
_NAME_LIMIT = 500
_REPEATED_LIMIT = 2**24
"""Numbers of a tensor whose storage has fewer, since `expand` or `unfold` made it."""


def read_torch(path: Path) -> tuple[FlatTree, dict[str, str]]:
    """The tensors of a file by name, and the numbers and strings beside them (`global_step`).

    Nothing of the file is run.

    Raises:
      ValueError: if it is damaged, or asks for more than weights need.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        value, places = read_zip(path) if zipped else read_legacy(path)
        state, facts = _unwrapped(value)
        records = _named(state)
        if not records:
            raise ValueError("it holds no tensors")
        return {name: _lazy(path, record, places) for name, record in records.items()}, facts
    except ZIP_DAMAGE as error:
        raise ValueError(f"{path} is truncated or damaged; download it again") from error
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {printable(str(error))}") from error


def _unwrapped(value: Any) -> tuple[Any, dict[str, str]]:
    """The state dict inside what a training framework saved, and the plain facts around it."""
    facts: dict[str, str] = {}
    for _ in range(_WRAPPED_LIMIT):
        if not isinstance(value, dict):
            break
        facts |= {
            name: str(fact)
            for name, fact in value.items()
            if isinstance(name, str) and isinstance(fact, int | str)
        }
        inner = value.get("state_dict", next(iter(value.values())) if len(value) == 1 else None)
        if not isinstance(inner, dict):
            break
        value = inner
    return value, facts


def _named(value: Any) -> dict[str, TensorRecord]:
    """The tensors in nested tables and lists, by their keys joined with dots."""
    records: dict[str, TensorRecord] = {}
    pending = [("", value, 0)] if _may_hold(value) else []
    items = 0
    while pending:
        name, item, depth = pending.pop()
        if isinstance(item, TensorRecord):
            name = name.removeprefix(".") or "tensor"
            if name in records:
                raise ValueError(f"it has two tensors named {name}")
            records[name] = item
            continue
        items += len(item)
        if items > _ITEM_LIMIT or depth > _DEPTH_LIMIT or len(name) > _NAME_LIMIT:
            raise ValueError(
                "it has tables nested without end, or more items than any weights have"
            )
        inside = item.items() if isinstance(item, dict) else enumerate(item)
        kept = [(f"{name}.{key}", one, depth + 1) for key, one in inside if _may_hold(one)]
        pending += kept[::-1]
    return records


def _may_hold(item: Any) -> bool:
    """Whether an item is a tensor, or a container of some."""
    return isinstance(item, TensorRecord | dict | list) or type(item) is tuple


def _lazy(path: Path, record: TensorRecord, places: dict[str, Place]) -> LazyTensor:
    """The tensor of a record, after checking that all of it lies within its storage."""
    storage, shape, strides = record.storage, record.shape, record.strides
    dtype = dtype_of(record.dtype or storage.kind)
    place = places.get(storage.key)
    if place is None:
        raise ValueError(f"its storage {storage.key} is missing")
    first = storage.start + record.offset
    extent = 0 if 0 in shape else 1 + sum((n - 1) * m for n, m in zip(shape, strides, strict=True))
    held = place.nbytes // dtype.itemsize
    if first + extent > held or math.prod(shape) > max(held, _REPEATED_LIMIT):
        raise ValueError(f"a tensor of shape {shape} reaches beyond its storage of {held} numbers")

    def read() -> np.ndarray:
        start = place.start + first * dtype.itemsize
        # As whole numbers: NumPy makes strided views only of its own dtypes.
        flat = np.fromfile(path, f"u{dtype.itemsize}", extent, offset=start)
        if flat.size != extent:
            raise ValueError(f"{path} is truncated; download it again")
        steps = [stride * dtype.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(flat, shape, steps).view(dtype)

    return LazyTensor(shape, dtype, read)
