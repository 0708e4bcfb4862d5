"""Records of a JSON header and arrays, in the files of `jaxsd.records`.

The header names the arrays whose bytes follow: `{"arrays": {name: [dtype, shape], ...}, ...}`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import grain
import jax.numpy as jnp
import numpy as np

from jaxsd import records
from jaxsd.writing import naming

OPTIONS = "group_size:1,uncompressed"
"""Records are read one at a time; outputs of networks and picture files hardly compress."""


def packed(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """A record."""
    described = {name: [array.dtype.name, array.shape] for name, array in arrays.items()}
    body = b"".join(array.tobytes() for array in arrays.values())
    return records.packed(header | {"arrays": described}, body)


def unpacked(record: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a record."""
    header, body = records.unpacked(record)
    start, arrays = 0, {}
    for name, (dtype, shape) in header.pop("arrays").items():
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(body, jnp.dtype(dtype), count, start).reshape(shape)
        start += arrays[name].nbytes
    return header, arrays


def write_records(path: Path, several: Iterable[bytes]) -> int:
    """Writes a temporary file and renames it; writes none if there are no records.

    Returns:
      The number of records.
    """
    beside, count = path.with_name(f".{path.name}"), 0
    with naming(path, beside), records.writer(beside, OPTIONS) as write:
        for record in several:
            write(record)
            count += 1
    if count:
        beside.replace(path)
    else:
        beside.unlink()
    return count


def read_records(paths: Sequence[Path]) -> grain.sources.ArrayRecordDataSource:
    """Several files as one sequence of records, which threads may read at once.

    Raises:
      ValueError: a file is not complete.
    """
    try:
        return grain.sources.ArrayRecordDataSource([str(path) for path in paths])
    except RuntimeError as error:
        raise ValueError(f"{_broken(paths)} is not a whole ArrayRecord file: {error}") from None


def _broken(paths: Sequence[Path]) -> Path:
    """The first of some files that can not be opened."""
    for path in paths:
        try:
            grain.sources.ArrayRecordDataSource([str(path)])
        except RuntimeError:
            return path
    return paths[0]
