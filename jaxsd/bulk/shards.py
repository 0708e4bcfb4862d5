"""Shards as other programs read them: WebDataset's tar files, and ArrayRecord.

A record of ArrayRecord is the length of a JSON text in four bytes, little endian, that text (a line
of the manifest), and the picture file.
"""

import contextlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

Write = Callable[[dict[str, Any], bytes], None]
"""Adds a picture, with its line of the manifest."""


def add(tar: tarfile.TarFile, name: str, packed: bytes) -> None:
    """Adds a file that is the same whoever adds it, and when."""
    info = tarfile.TarInfo(name)
    info.size = len(packed)
    tar.addfile(info, io.BytesIO(packed))


@contextlib.contextmanager
def webdataset(path: Path, picture: str) -> Iterator[Write]:
    """A tar file: ID.png, ID.json and ID.txt (the prompt) for each image."""
    with tarfile.open(path, "w") as tar:

        def write(record: dict[str, Any], packed: bytes) -> None:
            add(tar, f"{record['id']}.{picture}", packed)
            add(tar, f"{record['id']}.json", json.dumps(record, ensure_ascii=False).encode())
            add(tar, f"{record['id']}.txt", record["prompt"].encode())

        yield write


@contextlib.contextmanager
def array_record(path: Path, picture: str) -> Iterator[Write]:
    """An ArrayRecord file, a record an image.

    Raises:
      ValueError: the package that writes them is not installed.
    """
    del picture
    writer = _module().ArrayRecordWriter(str(path), "group_size:1")

    def write(record: dict[str, Any], packed: bytes) -> None:
        text = json.dumps(record, ensure_ascii=False).encode()
        writer.write(len(text).to_bytes(4, "little") + text + packed)

    with contextlib.closing(writer):
        yield write


def unpacked(record: bytes) -> tuple[dict[str, Any], bytes]:
    """A record of ArrayRecord as line of the manifest and picture file."""
    end = 4 + int.from_bytes(record[:4], "little")
    return json.loads(record[4:end]), record[end:]


def read_pictures(path: Path, names: Sequence[str], picture: str) -> list[bytes]:
    """The picture files of images that lie in one shard, or the one that is a file of its own."""
    if path.suffix == ".tar":
        with tarfile.open(path) as tar:
            return [tar.extractfile(f"{name}.{picture}").read() for name in names]
    if path.suffix != ".array_record":
        return [path.read_bytes()]
    with contextlib.closing(_module().ArrayRecordReader(str(path))) as reader:
        found = {record["id"]: packed for record, packed in map(unpacked, reader.read_all())}
    return [found[name] for name in names]


def _module() -> Any:
    try:
        from array_record.python import array_record_module
    except ImportError:
        raise ValueError(
            "format arrayrecord needs array-record: pip install 'jaxsd[bulk]'"
        ) from None
    return array_record_module


WRITERS = {"webdataset": ("tar", webdataset), "arrayrecord": ("array_record", array_record)}
"""Format -> ending of the file, and what writes it."""
