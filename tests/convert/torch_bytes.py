"""PyTorch's files written by hand, opcode by opcode, so that tests need no torch."""

import pickle
import zipfile
from pathlib import Path

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def name(module: str, attribute: str) -> bytes:
    """GLOBAL: a Python object by name."""
    return f"c{module}\n{attribute}\n".encode()


def text(value: str) -> bytes:
    """BINUNICODE."""
    encoded = value.encode()
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


def number(value: int) -> bytes:
    """BININT, or LONG1 where that is too short."""
    if -(2**31) <= value < 2**31:
        return b"J" + value.to_bytes(4, "little", signed=True)
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def tuple_of(*items: bytes) -> bytes:
    """MARK ... TUPLE."""
    return b"(" + b"".join(items) + b"t"


def dict_of(items: dict[str, bytes]) -> bytes:
    """EMPTY_DICT MARK ... SETITEMS."""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def call(function: bytes, *arguments: bytes) -> bytes:
    """REDUCE."""
    return function + tuple_of(*arguments) + b"R"


def storage(kind: str, key: str, count: int, view: bytes = b"") -> bytes:
    """BINPERSID of a storage."""
    parts = (text("storage"), name("torch", kind), text(key), text("cpu"), number(count))
    return tuple_of(*parts, *([view] if view else [])) + b"Q"


def tensor(place: bytes, shape: tuple, strides: tuple, offset: int = 0) -> bytes:
    """A call of _rebuild_tensor_v2."""
    return call(
        name("torch._utils", "_rebuild_tensor_v2"),
        place,
        number(offset),
        tuple_of(*map(number, shape)),
        tuple_of(*map(number, strides)),
        b"\x89",
        call(name("collections", "OrderedDict")),
    )


def of_array(array: np.ndarray, key: str) -> bytes:
    """A contiguous tensor with a storage of its own."""
    strides = tuple(stride // array.itemsize for stride in array.strides)
    kind = STORAGES[array.dtype.name]
    return tensor(storage(kind, key, array.size), array.shape, strides)


def program(value: bytes) -> bytes:
    """A whole pickle of protocol 2."""
    return b"\x80\x02" + value + b"."


def write_zip(path: Path, value: bytes, storages: dict[str, np.ndarray], **options: int) -> None:
    """A file of the zip format."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("archive/data.pkl", program(value))
        archive.writestr("archive/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", "3\n")


def write_legacy(path: Path, value: bytes, storages: dict[str, np.ndarray]) -> None:
    """A file of the format before PyTorch 1.6."""
    facts = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    with path.open("wb") as file:
        for item in (MAGIC, 1001, facts):
            file.write(pickle.dumps(item, 2))
        file.write(program(value))
        file.write(pickle.dumps(list(storages), 2))
        for array in storages.values():
            file.write(array.size.to_bytes(8, "little") + array.tobytes())


WRITERS = {"zip": write_zip, "legacy": write_legacy}
