"""Shards as other programs read them: WebDataset's tar files, and ArrayRecord.

A record of ArrayRecord (`jaxsd.records`) is a line of the manifest and the picture file.
"""

import contextlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxsd.records import packed as record_of
from jaxsd.records import read_all, unpacked, writer
from jaxsd.tars import content_of, members_of

Write = Callable[[dict[str, Any], bytes], None]
"""Adds a picture, with its line of the manifest."""


def add(tar: tarfile.TarFile, name: str, packed: bytes) -> None:
    """Adds a file without owner and date, so that the same content gives the same bytes."""
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
    """An ArrayRecord file, one record per image.

    Raises:
      ValueError: the package that writes them is not installed.
    """
    del picture
    with writer(path) as add_record:
        yield lambda record, packed: add_record(record_of(record, packed))


def read_pictures(path: Path, names: Sequence[str], picture: str) -> list[bytes]:
    """The picture files of some images of one shard, or the one picture file that `path` is.

    Raises:
      ValueError: the shard is damaged.
    """
    if path.suffix not in (".tar", ".array_record"):
        return [path.read_bytes()]
    with naming_damage(path, "remove it and the file of its number in manifest/"):
        if path.suffix == ".tar":
            inside = {member.name: member for member in members_of(path)}
            return [content_of(path, inside[f"{name}.{picture}"]) for name in names]
        found = {record["id"]: packed for record, packed in map(unpacked, read_all(path))}
        return [found[name] for name in names]


@contextlib.contextmanager
def naming_damage(path: Path, remedy: str) -> Iterator[None]:
    """Says of any error while a file of the run is read that it is damaged, and what to do.

    Raises:
      ValueError: it is.
      OSError: the system can not read it.
    """
    try:
        yield
    except Exception as error:  # names that are not there, and what the readers of parts let pass
        if isinstance(error, OSError) and error.filename:
            raise
        raise ValueError(f"{path} is damaged; {remedy}, and its pictures are drawn again") from None


WRITERS = {"webdataset": ("tar", webdataset), "arrayrecord": ("array_record", array_record)}
"""Format -> ending of the file, and what writes it."""
