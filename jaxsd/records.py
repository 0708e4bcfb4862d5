"""ArrayRecord files whose records are a JSON text and bytes.

A record is the length of the text in four bytes, little-endian, the text in UTF-8, and the bytes.
"""

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxsd.terminal import printable
from jaxsd.text_files import decoded, table_of

_SHOWN = 200


def packed(header: Mapping[str, Any], body: bytes) -> bytes:
    """A record of this header and body."""
    text = json.dumps(header, ensure_ascii=False).encode()
    return len(text).to_bytes(4, "little") + text + body


def unpacked(record: bytes, where: object = "the record") -> tuple[dict[str, Any], bytes]:
    """The JSON and the bytes of a record.

    Args:
      where: the name of the record in errors.

    Raises:
      ValueError: it does not begin with a table in JSON.
    """
    end = 4 + int.from_bytes(record[:4], "little")
    return table_of(decoded(record[4:end], where), where), record[end:]


@contextlib.contextmanager
def writer(path: Path, options: str = "group_size:1") -> Iterator[Callable[[bytes], None]]:
    """Yields a function that adds records to a file; each can be read alone.

    Raises:
      ValueError: the package that writes them is not installed.
      OSError: the file can not be written.
    """
    file = _module().ArrayRecordWriter(str(path), options)

    def write(record: bytes) -> None:
        with _system_errors(path):
            file.write(record)

    try:
        yield write
    finally:
        with _system_errors(path):
            file.close()


@contextlib.contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    """The package reports what the system says as a RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        full = os.strerror(errno.ENOSPC)
        if full in str(error):
            raise OSError(errno.ENOSPC, full, str(path)) from None
        raise OSError(f"{path} can not be written: {error}") from None


def read_all(path: Path) -> list[bytes]:
    """The records of a file.

    Raises:
      ValueError: as `writer`, or the file is damaged.
    """
    with _opened(path) as file:
        return file.read_all()


def count(path: Path) -> int:
    """How many records a file has.

    Raises:
      ValueError: as `writer`, or the file is damaged.
    """
    with _opened(path) as file:
        return file.num_records()


def read_one(path: Path, index: int) -> bytes:
    """A record by its number; any thread may call this.

    Raises:
      ValueError: as `writer`, or the file is damaged.
    """
    with _opened(path) as file:
        return file.read([index])[0]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with contextlib.closing(_module().ArrayRecordReader(str(path))) as file:
            yield file
    except RuntimeError as error:
        reason = printable(str(error), _SHOWN)
        raise ValueError(f"{path} is not a whole ArrayRecord file: {reason}") from None


def _module() -> Any:
    try:
        from array_record.python import array_record_module
    except ImportError:
        raise ValueError("ArrayRecord files need array-record: pip install array-record") from None
    return array_record_module
