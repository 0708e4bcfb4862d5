"""Pictures and captions in ArrayRecord files, as `jaxsd pack` and `jaxsd bulk` write them.

A record (`jaxsd.records`) is JSON and a picture file. These keys of the JSON are used:

    text, texts       captions, as in a table; records of `jaxsd bulk` have `prompt` instead
    condition_bytes   size of the ControlNet's image file, if one follows the picture file
"""

import io
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jaxsd import records
from jaxsd.images import image_size
from jaxsd.training.captions import captions_of
from jaxsd.training.folder import File, Folder, Known, listed, read_folder
from jaxsd.training.records import read_records, write_records

A_FILE = 1000
"""Pictures in a file."""


def read_data(place: str | Path, caption: str = "") -> Folder:
    """The pictures of an image folder, or of a folder of ArrayRecord files.

    Args:
      caption: for pictures that have none.

    Raises:
      FileNotFoundError: no such folder, or a picture that is not there.
      ValueError: no pictures, captions that can not be read, or too many broken pictures.
    """
    files = record_files(Path(place))
    if not files:
        return read_folder(place, caption)
    states = [(path, path.stat()) for path in files]
    return _remembered(tuple((path, at.st_size, at.st_mtime_ns) for path, at in states), caption)


@lru_cache(maxsize=2)  # data and prior_data: captions are looked at before a model is read
def _remembered(files: tuple[tuple[Path, int, int], ...], caption: str) -> Folder:
    """What `read_packed` gives for files, as long as their sizes and dates stay."""
    return read_packed([path for path, *_ in files], caption)


def record_files(place: Path) -> list[Path]:
    """The ArrayRecord files of a folder, or of a run of `jaxsd bulk`."""
    return sorted(place.glob("*.array_record")) or sorted(place.glob("shards/*.array_record"))


def read_packed(files: Sequence[Path], caption: str = "") -> Folder:
    """Lists the pictures of ArrayRecord files; reads every record once.

    Raises:
      ValueError: a file or a record of another kind, or too many broken pictures.
    """
    source = read_records(files)
    names = [f"{path.name}:{i}" for path in files for i in range(len(read_records([path])))]

    def parts(number: int) -> tuple[dict[str, Any], File, File | None]:
        name = files[0].parent / names[number]
        try:
            header, body = records.unpacked(source[number], name)
        except RuntimeError as error:
            raise OSError(str(error)) from error
        size = header.get("condition_bytes", 0)
        if type(size) is not int or not 0 <= size <= len(body):
            raise ValueError(f"{name} has {len(body)} bytes of pictures, condition_bytes {size!r}")
        end = len(body) - size
        condition = io.BytesIO(body[end:]) if size else None
        return header, io.BytesIO(body[:end]), condition

    def look(number: int) -> Known:
        header, picture, condition = parts(number)
        texts = captions_of(header, files[0].parent / names[number])
        return Known(texts, condition is not None, image_size(picture))

    return listed(
        files[0].parent,
        names,
        look,
        caption=caption,
        read=lambda number: parts(number)[1:],
        stored=tuple(files),
    )


def write_packed(folder: Folder, place: Path) -> int:
    """Copies the picture files unchanged into `place`, which appears when all are written.

    Returns:
      The number of pictures.

    Raises:
      ValueError: the place exists already.
    """
    if place.exists():
        raise ValueError(f"{place} is there already; remove it, or give another place with -o")
    beside = place.with_name(f".{place.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    rows = range(len(folder.names))
    for number, own in enumerate(rows[i : i + A_FILE] for i in rows[::A_FILE]):
        path = beside / f"{number:05d}.array_record"
        write_records(path, (_record(folder, row) for row in own))
    beside.replace(place)
    return len(rows)


def _record(folder: Folder, row: int) -> bytes:
    header: dict[str, Any] = {"file_name": folder.names[row]}
    if folder.captioned[row]:
        header["texts"] = folder.texts[row]
    picture, condition = folder.read(row)
    body = picture.read_bytes()
    if condition is not None:
        header["condition_bytes"] = condition.stat().st_size
        body += condition.read_bytes()
    return records.packed(header, body)
