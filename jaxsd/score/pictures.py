"""The pictures of a folder, in any form: files, WebDataset's tars, ArrayRecord."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from jaxsd.images import ENDINGS, read_image
from jaxsd.metadata import prompt_of
from jaxsd.records import count, read_one, unpacked
from jaxsd.tars import Member, content_of, members_of
from jaxsd.text_files import decoded, read_jsonl

SHEET = "contact_sheet.png"
"""A file that jaxsd's commands write next to pictures, and that does not count as one."""
MANIFEST = "manifest.jsonl"

Read = Callable[[], tuple[bytes, str | None]]
"""Returns a picture file, and its prompt if that is stored outside of it."""


class Picture(NamedTuple):
    """A picture that can be read, by any thread."""

    name: str  # path in the folder; in a shard `SHARD:NAME`
    read: Read


def pictures_in(place: Path) -> list[Picture]:
    """All pictures of a folder and those below it, or of one shard, in the order of their names.

    Hidden files and folders, contact sheets, and units of a bulk run that is not done (`parts/`)
    are left out. Prompts come from the manifest of a bulk run, from the text next to a picture in
    a shard, or else from the picture file itself.

    Raises:
      ValueError: a shard that can not be read, or a manifest that is not JSON.
      FileNotFoundError: no such folder or shard.
    """
    if place.suffix in SHARDS and place.is_file():
        return list(SHARDS[place.suffix](place, place.name))
    if not place.is_dir():
        raise FileNotFoundError(f"no pictures at {place}: no such folder, .tar or .array_record")
    prompts, pictures = _prompts(place / MANIFEST), []
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if name == SHEET or name.startswith(("parts/", ".")) or "/." in name:
            continue
        if path.suffix.lower() in ENDINGS:
            pictures.append(Picture(name, partial(_read_file, path, prompts.get(name))))
        elif path.suffix in SHARDS:
            pictures += SHARDS[path.suffix](path, name)
    return pictures


def read_picture(picture: Picture) -> np.ndarray:
    """A picture, uint8 [H, W, 3], on white where it is transparent.

    Raises:
      OSError, ValueError: not a picture, or an incomplete one.
    """
    packed, _ = picture.read()
    return read_image(packed)


def read_prompted(picture: Picture) -> tuple[np.ndarray, str | None]:
    """A picture as `read_picture`, and its prompt, if it has one; pixels may be read twice for it.

    Raises:
      OSError, ValueError: not a picture, or an incomplete one.
    """
    packed, prompt = picture.read()
    return read_image(packed), prompt_of(packed) if prompt is None else prompt


def _prompts(manifest: Path) -> dict[str, str]:
    """File -> prompt, from a bulk run's manifest, if there is one."""
    if not manifest.is_file():
        return {}
    prompts = {}
    for number, line in read_jsonl(manifest):
        if "file" not in line:  # a row that was not drawn
            continue
        file, prompt = line["file"], line.get("prompt")
        if not (isinstance(file, str) and isinstance(prompt, str)):
            raise ValueError(
                f"{manifest} line {number} is not of a bulk run: file {file!r}, prompt {prompt!r}"
            )
        prompts[file] = prompt
    return prompts


def _read_file(path: Path, prompt: str | None) -> tuple[bytes, str | None]:
    return path.read_bytes(), prompt


def _in_tar(path: Path, name: str) -> Iterator[Picture]:
    """Pictures of a WebDataset tar, with the texts that share their names."""
    pictures, texts = {}, {}
    for member in members_of(path):
        inside = PurePosixPath(member.name)
        if inside.suffix.lower() in ENDINGS:
            pictures[inside] = member
        elif inside.suffix == ".txt":
            texts[inside.with_suffix("")] = member
    for inside, member in pictures.items():
        text = texts.get(inside.with_suffix(""))
        yield Picture(f"{name}:{inside}", partial(_read_members, path, member, text))


def _read_members(path: Path, picture: Member, text: Member | None) -> tuple[bytes, str | None]:
    packed = content_of(path, picture)
    if text is None:
        return packed, None
    return packed, decoded(content_of(path, text), f"{path}: the text of a picture")


def _in_records(path: Path, name: str) -> Iterator[Picture]:
    """Pictures of an ArrayRecord file of a bulk run."""
    for index in range(count(path)):
        yield Picture(f"{name}:{index}", partial(_read_record, path, index))


def _read_record(path: Path, index: int) -> tuple[bytes, str | None]:
    record, packed = unpacked(read_one(path, index), f"{path}:{index}")
    prompt = record.get("prompt")
    if not isinstance(prompt, str | None):
        raise ValueError(f"{path}:{index} has prompt {prompt!r}, which is no text")
    return packed, prompt


SHARDS = {".tar": _in_tar, ".array_record": _in_records}
"""Ending of a file with many pictures -> what lists them."""
