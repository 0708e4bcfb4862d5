"""The data set on disk: a folder of pictures per split, with a metadata.jsonl each.

This is the image-folder convention of the Hub: one JSON line per picture, with its `file_name`.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from emoji.pictures import Picture
from jaxsd.text_files import read_jsonl

SPLITS = ("train", "heldout", "gallery")

Job = tuple[Callable[[Picture], np.ndarray], list[Picture]]
"""A function that draws pictures, uint8 [128, 128, 3], and the pictures it is to draw."""

Lines = dict[str, list[dict]]
"""Lines of metadata.jsonl by split."""


class Row(NamedTuple):
    """A picture's line in metadata.jsonl, as it is read back."""

    path: Path
    text: str
    template: str
    object: str
    style: str
    background: str
    colour: str | None
    layout: str | None
    other: str | None


def save_pictures(out: Path, job: Job) -> list[Picture]:
    """Draws a job's pictures into the folders of their splits; returns them."""
    draw, listed = job
    for picture in listed:
        Image.fromarray(draw(picture)).save(out / picture.split / picture.file_name)
    return listed


def save_metadata(out: Path, listed: Iterable[Picture]) -> Lines:
    """Writes metadata.jsonl of every split, in the order given; returns its lines.

    Raises:
      ValueError: two pictures of one file name.
    """
    lines: Lines = {split: [] for split in SPLITS}
    for picture in listed:
        lines[picture.split].append(picture.metadata())
    for split, rows in lines.items():
        names = Counter(row["file_name"] for row in rows).most_common(1)
        if names and names[0][1] > 1:
            raise ValueError(f"{split}: {names[0][1]} pictures are called {names[0][0]}")
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / split / "metadata.jsonl").write_text(text, encoding="utf-8")
    return lines


def read_rows(folder: Path) -> list[Row]:
    """The pictures of a split, `DATASET/train` for example.

    Raises:
      FileNotFoundError: no metadata.jsonl.
    """
    table = folder / "metadata.jsonl"
    if not table.is_file():
        raise FileNotFoundError(f"no {table}; make the data with tools/build_emoji_dataset.py")
    return [
        Row(folder / line["file_name"], *(line[name] for name in Row._fields[1:]))
        for _, line in read_jsonl(table)
    ]


def read_images(rows: Sequence[Row]) -> np.ndarray:
    """The pixels of some rows, uint8 [N, 128, 128, 3]."""
    return np.stack([np.asarray(Image.open(row.path).convert("RGB")) for row in rows])
