"""Pictures and captions in ArrayRecord files, as `jaxsd pack` and `jaxsd bulk` write them.

A record (`jaxsd.records`) is JSON and a picture file. Of the JSON these count:

    text, texts       captions; what `jaxsd bulk` drew has `prompt` in their place
    condition_bytes   if the file of an image for a ControlNet follows that of the picture: its size
"""

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsd import records
from jaxsd.images import image_size
from jaxsd.training.folder import File, Folder, Known, listed, read_folder
from jaxsd.training.records import read_records, write_records

A_FILE = 1000
"""Pictures in a file."""


def read_data(place: str | Path, caption: str = "") -> Folder:
    """The pictures of a folder, of whichever kind it is.

    Args:
      caption: of pictures that have none.

    Raises:
      FileNotFoundError: no such folder, or a picture that is not there.
      ValueError: no pictures, captions that can not be read, or too many broken pictures.
    """
    files = record_files(Path(place))
    return read_packed(files, caption) if files else read_folder(place, caption)


def record_files(place: Path) -> list[Path]:
    """The ArrayRecord files of a folder, or of a run of `jaxsd bulk`."""
    return sorted(place.glob("*.array_record")) or sorted(place.glob("shards/*.array_record"))


def read_packed(files: Sequence[Path], caption: str = "") -> Folder:
    """Lists the pictures of ArrayRecord files, which are read once for it.

    Raises:
      ValueError: a file or a record of another kind, or too many broken pictures.
    """
    source = read_records(files)
    names = [f"{path.name}:{i}" for path in files for i in range(len(read_records([path])))]

    def parts(number: int) -> tuple[dict[str, Any], File, File | None]:
        try:
            header, body = records.unpacked(source[number])
        except RuntimeError as error:
            raise OSError(str(error)) from error
        except ValueError:
            name = files[0].parent / names[number]
            raise ValueError(f"{name} is not JSON and a picture") from None
        end = len(body) - header.get("condition_bytes", 0)
        condition = io.BytesIO(body[end:]) if end < len(body) else None
        return header, io.BytesIO(body[:end]), condition

    def look(number: int) -> Known:
        header, picture, condition = parts(number)
        return Known(_texts(header) or (caption,), condition is not None, image_size(picture))

    return listed(
        files[0].parent,
        names,
        look,
        read=lambda number: parts(number)[1:],
        stored=tuple(files),
    )


def _texts(header: dict[str, Any]) -> tuple[str, ...]:
    plain = header.get("text", header.get("prompt"))
    return tuple(text for text in (plain, *header.get("texts", ())) if text)


def write_packed(folder: Folder, place: Path) -> int:
    """Writes pictures, as their files are, into `place`, which appears once all is whole.

    Returns:
      How many.

    Raises:
      ValueError: the place is taken.
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
    if texts := [text for text in folder.texts[row] if text]:
        header["texts"] = texts
    picture, condition = folder.read(row)
    body = picture.read_bytes()
    if condition is not None:
        header["condition_bytes"] = condition.stat().st_size
        body += condition.read_bytes()
    return records.packed(header, body)
