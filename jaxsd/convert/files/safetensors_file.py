"""The safetensors format: an 8-byte header length, a JSON header, and the numbers.

Read and written one tensor at a time, in every dtype that weights come in (NumPy has no bfloat16
and no float8; `ml_dtypes` has). Format: https://github.com/huggingface/safetensors#format.
"""

import json
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from jaxsd.convert.files.tensors import FlatTree, LazyTensor

Progress = Callable[[int], None]
"""Called with the number of bytes written since its last call."""

CODES: dict[str, np.dtype] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
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
_HEADER_LIMIT = 100_000_000


def silent(count: int) -> None:
    """Shows no progress."""


def read_safetensors(path: Path) -> tuple[FlatTree, dict[str, str]]:
    """The tensors of a file by name, and its `__metadata__`.

    Raises:
      ValueError: if the file is truncated, or its header does not describe it.
    """
    header, start = _header(path)
    metadata = header.pop("__metadata__", {})
    size = path.stat().st_size - start
    tensors = {name: _entry(path, name, entry, start) for name, entry in header.items()}
    _check_extents(path, [entry["data_offsets"] for entry in header.values()], size)
    return tensors, {str(key): str(value) for key, value in metadata.items()}


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The JSON header and the offset where the numbers start."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > _HEADER_LIMIT or 8 + length > size:
            raise ValueError(
                f"{path} is not a whole safetensors file: its header should be {length} bytes and "
                f"the file has {size}; download it again"
            )
        try:
            header = json.loads(file.read(length))
        except ValueError as error:
            raise ValueError(f"{path} is not a safetensors file: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
        raise ValueError(f"{path} is not a safetensors file: its header is not a table")
    return header, 8 + length


def _entry(path: Path, name: str, entry: Any, start: int) -> LazyTensor:
    try:
        dtype = CODES[entry["dtype"]]
        shape = tuple(int(n) for n in entry["shape"])
        begin, end = (int(n) for n in entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: the header's entry for {name!r} is damaged: {entry}") from error
    count = int(np.prod(shape, dtype=object)) if shape else 1
    if min(shape, default=0) < 0 or begin < 0 or end - begin != count * dtype.itemsize:
        raise ValueError(f"{path}: the header's entry for {name!r} is damaged: {entry}")

    def read() -> np.ndarray:
        return _mapped(path, start + begin, count * dtype.itemsize).view(dtype).reshape(shape)

    return LazyTensor(shape, dtype, read)


def _mapped(path: Path, start: int, length: int) -> np.ndarray:
    """Bytes of a file, mapped into memory, read-only: reading them into new memory takes four times
    as long.
    """
    if length == 0:
        return np.empty(0, np.uint8)
    before = start % mmap.ALLOCATIONGRANULARITY
    with path.open("rb") as file:
        whole = before + length
        pages = mmap.mmap(file.fileno(), whole, access=mmap.ACCESS_READ, offset=start - before)
    if hasattr(mmap, "MADV_WILLNEED"):
        pages.madvise(mmap.MADV_WILLNEED)
    return np.frombuffer(pages, np.uint8, length, before)


def _check_extents(path: Path, extents: list[list[int]], size: int) -> None:
    """Every byte belongs to one tensor: no gap, no overlap, nothing past the end."""
    position = 0
    for begin, end in sorted(map(tuple, extents)):
        if begin != position:
            raise ValueError(f"{path}: tensors overlap or leave a gap at byte {begin}")
        position = end
    if position != size:
        raise ValueError(
            f"{path} is truncated or damaged: its header describes {position} bytes of numbers "
            f"and the file has {size}; download it again"
        )


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
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(len(encoded).to_bytes(8, "little"))
            file.write(encoded)
            for name in order:
                array = tensors[name].read()
                assert (array.shape, array.dtype) == (tensors[name].shape, tensors[name].dtype)
                file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
                progress(array.nbytes)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
