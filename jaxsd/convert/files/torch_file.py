"""PyTorch's `.bin`, `.ckpt`, `.pt` and `.pth` files, without PyTorch.

Two formats: a zip archive with `data.pkl` and one member per storage (since 1.6), and five pickles
in a row: a magic number, a version, facts about the machine, the object, and the keys of the
storages that follow. Tensors are records into the storages, which stay on disk until read.
"""

import math
import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from jaxsd.convert.files.pickle_machine import run
from jaxsd.convert.files.pickle_names import DTYPES, TensorRecord
from jaxsd.convert.files.tensors import FlatTree, LazyTensor, one_line

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_PICKLE_LIMIT = 256 * 2**20
_EXTRA = {name: getattr(ml_dtypes, name) for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2")}

_DEPTH_LIMIT = 8
_ITEM_LIMIT = 200_000
_NAME_LIMIT = 1000
_ZIP_DAMAGE = (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, OverflowError)
"""What `zipfile` raises for damaged archives."""


class Place(NamedTuple):
    """Where the numbers of a storage lie in a file: the first byte, and how many bytes."""

    start: int
    nbytes: int


def read_torch(path: Path) -> tuple[FlatTree, dict[str, str]]:
    """The tensors of a file by name, and the numbers and strings beside them (`global_step`).

    Nothing of the file is run.

    Raises:
      ValueError: if it is damaged, or asks for more than weights need.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        value, places = _read_zip(path) if zipped else _read_legacy(path)
        state, facts = _unwrapped(value)
        records = _named(state)
        if not records:
            raise ValueError("it holds no tensors")
        return {name: _lazy(path, record, places) for name, record in records.items()}, facts
    except _ZIP_DAMAGE as error:
        reason = one_line(str(error))
        raise ValueError(f"{path} is truncated or damaged ({reason}); download it again") from error
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {one_line(str(error))}") from error


def _read_zip(path: Path) -> tuple[Any, dict[str, Place]]:
    """The pickled value of a zip archive, and the place of each storage by key."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.split("/")[-1] == "data.pkl"]
        if len(pickles) != 1:
            raise ValueError(f"it has {len(pickles)} members named data.pkl, where PyTorch has one")
        if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
            raise ValueError("it is compressed, which PyTorch's files never are")
        if members[pickles[0]].file_size > _PICKLE_LIMIT:
            raise ValueError("its pickle is too large to be one of weights")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}byteorder" in members and archive.read(f"{root}byteorder") != b"little":
            raise ValueError("it is from a big-endian machine")
        with archive.open(pickles[0]) as file:
            value, storages = run(file)
    with path.open("rb") as file:
        return value, {
            storage.key: _place_of(file, members.get(f"{root}data/{storage.key}"))
            for storage in storages
        }


def _place_of(file: BinaryIO, member: zipfile.ZipInfo | None) -> Place:
    """Where a stored member's bytes lie: after its header, a name and an extra field."""
    if member is None:
        raise ValueError("one of its storages is missing")
    file.seek(member.header_offset)
    header = file.read(30)
    name, extra = (int.from_bytes(header[i : i + 2], "little") for i in (26, 28))
    return Place(member.header_offset + 30 + name + extra, member.file_size)


def _read_legacy(path: Path) -> tuple[Any, dict[str, Place]]:
    """The value of five pickles in a row, and the place of each storage that follows them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if run(file)[0] != _MAGIC or run(file)[0] != _VERSION:
            raise ValueError("it is a pickle, but not one of PyTorch's")
        if not run(file)[0].get("little_endian", True):
            raise ValueError("it is from a big-endian machine")
        value, storages = run(file)
        widths = {storage.key: _dtype(storage.kind).itemsize for storage in storages}
        places: dict[str, Place] = {}
        for key in map(str, run(file)[0]):
            count = int.from_bytes(file.read(8), "little")
            place = Place(file.tell(), count * widths.get(key, size))
            if place.start + place.nbytes > size:
                raise ValueError(f"it is cut short: storage {key} ends beyond its {size} bytes")
            places[key] = place
            file.seek(place.nbytes, os.SEEK_CUR)
    return value, places


def _unwrapped(value: Any) -> tuple[Any, dict[str, str]]:
    """The state dict inside what a training framework saved, and the plain facts around it."""
    facts: dict[str, str] = {}
    for _ in range(_DEPTH_LIMIT):
        if not isinstance(value, dict):
            break
        facts |= {
            str(name): str(fact) for name, fact in value.items() if isinstance(fact, int | str)
        }
        inner = value.get("state_dict", next(iter(value.values())) if len(value) == 1 else None)
        if not isinstance(inner, dict):
            break
        value = inner
    return value, facts


def _named(value: Any) -> dict[str, TensorRecord]:
    """The tensors in nested tables and lists, by their keys joined with dots."""
    records: dict[str, TensorRecord] = {}
    pending = [("", value)]
    for _ in range(_ITEM_LIMIT):
        if not pending:
            return records
        name, item = pending.pop()
        if len(name) > _NAME_LIMIT:
            break
        if isinstance(item, TensorRecord):
            records[name.removeprefix(".") or "tensor"] = item
        elif isinstance(item, dict):
            pending += [(f"{name}.{key}", inner) for key, inner in reversed(item.items())]
        elif isinstance(item, list) or type(item) is tuple:
            pending += [(f"{name}.{k}", inner) for k, inner in reversed(list(enumerate(item)))]
    raise ValueError("it has tables nested without end, or more items than any weights have")


def _dtype(name: Any) -> np.dtype:
    if name not in DTYPES:
        raise ValueError(f"numbers of type {name} are not known")
    return np.dtype(_EXTRA.get(DTYPES[name], DTYPES[name]))


def _lazy(path: Path, record: TensorRecord, places: dict[str, Place]) -> LazyTensor:
    """The tensor of a record, after checking that all of it lies within its storage."""
    storage = record.storage
    dtype = _dtype(record.dtype or storage.kind)
    place = places.get(storage.key)
    if place is None:
        raise ValueError(f"its storage {storage.key} is missing")
    shape, strides = record.shape, record.strides
    whole = (record.offset, storage.start, *shape, *strides)
    if len(shape) != len(strides) or any(type(n) is not int or n < 0 for n in whole):
        raise ValueError(f"a tensor of shape {shape} and strides {strides} is damaged")
    first = storage.start + record.offset
    extent = 0 if 0 in shape else 1 + sum((n - 1) * m for n, m in zip(shape, strides, strict=True))
    held = place.nbytes // dtype.itemsize
    if first + extent > held or math.prod(shape) > held:
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
