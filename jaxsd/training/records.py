"""ArrayRecord files whose records are a JSON header and arrays.

A record is the length of its header (4 bytes, little-endian), the header in UTF-8, and the bytes of
the arrays in its order: `{"arrays": {name: [dtype, shape], ...}, ...}`.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import grain
import jax.numpy as jnp
import numpy as np

OPTIONS = "group_size:1,uncompressed"
"""One record at a time is read; numbers of networks hardly grow smaller."""


def packed(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """A record."""
    described = {name: [array.dtype.name, array.shape] for name, array in arrays.items()}
    text = json.dumps(header | {"arrays": described}).encode()
    return b"".join(
        [len(text).to_bytes(4, "little"), text, *(a.tobytes() for a in arrays.values())]
    )


def unpacked(record: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a record."""
    start = 4 + int.from_bytes(record[:4], "little")
    header, arrays = json.loads(record[4:start]), {}
    for name, (dtype, shape) in header.pop("arrays").items():
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(record, jnp.dtype(dtype), count, start).reshape(shape)
        start += arrays[name].nbytes
    return header, arrays


def write_records(path: Path, records: Iterable[bytes]) -> int:
    """Writes a file beside its place and renames it; none where there are no records.

    Returns:
      How many there were.
    """
    # Imported here because it belongs to an extra.
    from array_record.python.array_record_module import ArrayRecordWriter

    beside, count = path.with_name(f".{path.name}"), 0
    writer = ArrayRecordWriter(str(beside), OPTIONS)
    try:
        for record in records:
            writer.write(record)
            count += 1
    finally:
        writer.close()
    if count:
        beside.replace(path)
    else:
        beside.unlink()
    return count


def read_records(paths: Sequence[Path]) -> grain.sources.ArrayRecordDataSource:
    """Several files as one sequence of records, which threads may read at once."""
    return grain.sources.ArrayRecordDataSource([str(path) for path in paths])
