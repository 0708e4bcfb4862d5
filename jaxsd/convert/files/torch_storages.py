"""Storages of PyTorch's files: what the pickle says, and where the numbers lie.

Two formats: a zip archive with `data.pkl` and one member per storage (since 1.6), and five pickles
in a row: a magic number, a version, facts about the machine, the object, and the keys of the
storages that follow.
"""

import io
import os
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from jaxsd.convert.files.pickle_machine import run
from jaxsd.convert.files.pickle_names import DTYPES, UNTYPED, Name, Storage

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_PICKLE_LIMIT = 32 * 2**20
_DIRECTORY_LIMIT = 3 * 2**20
_END_SIZE = 2**16 + 22 + 76
_WORD_LIMIT = 16
_FEW_STEPS = 1000
"""Enough for the pickles of a legacy file that describe it."""
ZIP_DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    OSError,
    EOFError,
    OverflowError,
    KeyError,
    struct.error,
)
"""What `zipfile` raises for damaged archives."""


class Place(NamedTuple):
    """Where the numbers of a storage lie in a file: the first byte, and how many bytes."""

    start: int
    nbytes: int


def read_zip(path: Path) -> tuple[Any, dict[str, Place]]:
    """The pickled value of a zip archive, and the place of each storage by key.

    Raises:
      ValueError: if it is not one of PyTorch's.
      ZIP_DAMAGE: if it is no whole archive.
    """
    _check_directory(path)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.split("/")[-1] == "data.pkl"]
        if len(pickles) != 1:
            raise ValueError(f"it has {len(pickles)} members named data.pkl, where PyTorch has one")
        if any(name.endswith("/constants.pkl") for name in members):
            raise ValueError("it is TorchScript, a program; save the state_dict of its module")
        if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
            raise ValueError("it is compressed, which PyTorch's files never are")
        root = pickles[0].removesuffix("data.pkl")
        order = members.get(f"{root}byteorder")
        if order and _content(archive, order, _WORD_LIMIT) != b"little":
            raise ValueError("it is from a big-endian machine")
        code = io.BytesIO(_content(archive, members[pickles[0]], _PICKLE_LIMIT))
    value, storages = run(code)
    with path.open("rb") as file:
        return value, {
            storage.key: _place_of(file, members.get(f"{root}data/{storage.key}"), storage.key)
            for storage in storages
        }


def _check_directory(path: Path) -> None:
    """Refuses an archive with more members than weights have, which would take long to list.

    Raises:
      ValueError: naming the bytes of its directory.
    """
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, _END_SIZE), os.SEEK_END)
        tail = file.read()
    at = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - 18))
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    if at >= 76 and tail[at - 20 : at - 16] == b"PK\6\7":  # zip64 has its own end before it
        size = int.from_bytes(tail[at - 36 : at - 28], "little")
    if at >= 0 and size > _DIRECTORY_LIMIT:
        raise ValueError(f"its list of members has {size} bytes, at most {_DIRECTORY_LIMIT}")


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    """The bytes of a small member.

    Raises:
      ValueError: if it is larger than any in a file of weights.
    """
    if member.file_size > limit:
        raise ValueError(
            f"its {member.filename} has {member.file_size} bytes, in files of weights it has no "
            f"more than {limit}"
        )
    return archive.read(member)


def _place_of(file: BinaryIO, member: zipfile.ZipInfo | None, key: str) -> Place:
    """Where a stored member's bytes lie: after its header, a name and an extra field."""
    if member is None:
        raise ValueError("one of its storages is missing")
    file.seek(member.header_offset)
    header = file.read(30)
    name, extra = (int.from_bytes(header[i : i + 2], "little") for i in (26, 28))
    return _within(file, Place(member.header_offset + 30 + name + extra, member.file_size), key)


def _within(file: BinaryIO, place: Place, key: str) -> Place:
    """A storage's place, after checking that the file has all of it."""
    size = os.fstat(file.fileno()).st_size
    if place.start + place.nbytes > size:
        raise ValueError(f"it is cut short: storage {key} ends beyond its {size} bytes")
    return place


def read_legacy(path: Path) -> tuple[Any, dict[str, Place]]:
    """The value of five pickles in a row, and the place of each storage that follows them.

    Raises:
      ValueError: if they are not PyTorch's, or cut short.
    """
    with path.open("rb") as file:
        if run(file, _FEW_STEPS)[0] != _MAGIC or run(file, _FEW_STEPS)[0] != _VERSION:
            raise ValueError("it is a pickle, but not one of PyTorch's")
        machine, _ = run(file, _FEW_STEPS)
        if not isinstance(machine, dict):
            raise ValueError("it does not say what machine it is from")
        if not machine.get("little_endian", True):
            raise ValueError("it is from a big-endian machine")
        value, storages = run(file)
        return value, _legacy_places(file, storages)


def _legacy_places(file: BinaryIO, storages: list[Storage]) -> dict[str, Place]:
    widths = {storage.key: _width(storage.kind) for storage in storages}
    keys, _ = run(file)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("it has no list of its storages")
    places: dict[str, Place] = {}
    for key in keys:
        if key not in widths or key in places:
            raise ValueError(f"its storage {key} is there twice, or belongs to no tensor")
        count = int.from_bytes(file.read(8), "little")
        places[key] = _within(file, Place(file.tell(), count * widths[key]), key)
        file.seek(places[key].nbytes, os.SEEK_CUR)
    return places


def dtype_of(name: Name) -> np.dtype:
    """The dtype that a pickle names.

    Raises:
      ValueError: if it is not known.
    """
    if name not in DTYPES:
        raise ValueError(f"numbers of type {name} are not known")
    known = DTYPES[name]
    return np.dtype(getattr(ml_dtypes, known, known))


def _width(kind: Name) -> int:
    """Bytes that a storage's count counts."""
    return 1 if kind == UNTYPED else dtype_of(kind).itemsize
