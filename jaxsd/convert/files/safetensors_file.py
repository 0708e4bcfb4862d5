"""The safetensors format: an 8-byte header length, a JSON header, and the numbers.

The format's library checks headers; tensors are read and written here, one at a time, in every
dtype that weights come in (NumPy has no bfloat16 and no float8; `ml_dtypes` has), and without a
copy. Format: https://github.com/huggingface/safetensors#format.
"""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from jaxsd.convert.files.mapping import mapped
from jaxsd.convert.files.tensors import MOST_AXES, FlatTree, LazyTensor, read_ahead
from jaxsd.terminal import printable
from jaxsd.writing import replacing

Progress = Callable[[int], None]
"""Called with the number of bytes written since its last call."""

CODES: dict[str, np.dtype] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E4M3FNUZ": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "F8_E5M2FNUZ": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
_CODE_OF = {dtype: code for code, dtype in CODES.items()}
_HEADER_LIMIT = 32 * 2**20
"""Bytes. The library allows 100 MB, which may take 20 s and 2 GB. Tags of a million pictures, which
some programs write into a LoRA, have some 10 MB.
"""
_MOST_TENSORS = 50_000
"""Whole models have some 3,000. Other entries of the header count as well, four for a tensor."""
_LONGEST_NAME = 500


def silent(count: int) -> None:
    """Shows no progress."""


def read_safetensors(path: Path) -> tuple[FlatTree, dict[str, str]]:
    """The tensors of a file by name, and its `__metadata__`.

    Which headers are right is for the format's own library to say: it refuses gaps, overlaps, and
    shapes that are not those of the bytes.

    Raises:
      ValueError: if the file is truncated, or its header does not describe it.
    """
    position = _start(path)
    tensors: FlatTree = {}
    try:
        with safe_open(path, "numpy") as file:
            names = file.offset_keys()  # one after the other, without gaps
            _check_count(path, len(names))
            for name in names:
                entry = file.get_slice(name)
                tensors[name] = _lazy(path, name, entry.get_dtype(), entry.get_shape(), position)
                position += tensors[name].nbytes
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(printable(f"{path} {_reason(str(error))}")) from error


def _start(path: Path) -> int:
    """The offset where the numbers start."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or 8 + length > size:
            raise ValueError(
                f"{path} is not a whole safetensors file: its header should be {length} bytes and "
                f"the file has {size}; download it again"
            )
        if length > _HEADER_LIMIT:
            raise ValueError(f"{path}: its header has {length} bytes, at most {_HEADER_LIMIT}")
        header = file.read(length)
    # Within a text a quote has a backslash before it. An entry has a name and three fields.
    _check_count(path, (header.count(b'":') - header.count(b'\\":')) // 4)
    return 8 + length


def _check_count(path: Path, entries: int) -> None:
    if entries > _MOST_TENSORS:
        raise ValueError(f"{path}: its header has {entries} entries, at most {_MOST_TENSORS}")


def _reason(refusal: str) -> str:
    """What is wrong with a file, from what the library says of it."""
    named = re.search(r"tensor `(.*)`$", refusal, re.DOTALL)
    if named:
        return (
            f"is damaged: {named[1]!r} overlaps another tensor or leaves a gap; download it again"
        )
    if "not fully covered" in refusal:
        return (
            "is truncated or damaged: its header describes another number of bytes than the file "
            "has; download it again"
        )
    if "JSON" in refusal or "UTF-8" in refusal:
        return "is not a safetensors file: its header is not a JSON table of tensors"
    return "is damaged: its header has a tensor whose shape, dtype and place do not fit"


def _lazy(path: Path, name: str, code: str, shape: list[int], start: int) -> LazyTensor:
    if code not in CODES:
        known = f"which is not read, only {', '.join(CODES)}"
        raise ValueError(printable(f"{path}: {name!r} has dtype {code}, {known}"))
    if len(name) > _LONGEST_NAME:
        shown = f"the name {printable(name, 80)} has {len(name)} characters"
        raise ValueError(printable(f"{path}: {shown}, at most {_LONGEST_NAME} are read"))
    if len(shape) > MOST_AXES:
        raise ValueError(
            printable(f"{path}: {name!r} has {len(shape)} axes; at most {MOST_AXES} are read")
        )
    dtype, length = CODES[code], math.prod(shape) * CODES[code].itemsize

    def read() -> np.ndarray:
        return mapped(path, start, length).view(dtype).reshape(shape)

    return LazyTensor(tuple(shape), dtype, read)


def write_safetensors(
    path: Path,
    tensors: FlatTree,
    metadata: dict[str, str],
    progress: Progress = silent,
) -> None:
    """Write tensors to a file, one at a time.

    The file appears under its name only when it is complete.
    """
    # Widest dtypes first, as the format's own library does, so that every tensor is aligned.
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": metadata}
    position = 0
    for name in order:
        tensor = tensors[name]
        extent = [position, position + tensor.nbytes]
        header[name] = {
            "dtype": _CODE_OF[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": extent,
        }
        position = extent[1]
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with replacing(path) as part, part.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for array in read_ahead([tensors[name] for name in order], _in_order):
            file.write(array.reshape(-1).view(np.uint8))
            progress(array.nbytes)


def _in_order(tensor: LazyTensor) -> np.ndarray:
    array = tensor.read()
    assert (array.shape, array.dtype) == (tensor.shape, tensor.dtype)
    return np.ascontiguousarray(array)
