"""An image folder of any size, read as it is needed, in batches of one shape.

A batch depends on (seed, number) alone, so that a resumed run sees what an unbroken one would have.
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from jaxsd.images import image_size, read_cropped
from jaxsd.training.data import generator

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
TABLE = "metadata.jsonl"
CONDITION = "conditioning_image_file_name"
BROKEN_SHARE = 0.01
"""Share of pictures that may be unreadable before a run stops."""


@dataclass(frozen=True)
class Folder:
    """What is known of the pictures before any is decoded.

    Attributes:
      files: readable pictures, in the order of the table or of their names.
      texts: captions of each.
      conditions: images that a ControlNet sees beside them; `None` where there is none.
      sizes: height and width of each, [N, 2] int.
      broken: names of the files that could not be read; grows as more are found.
    """

    files: tuple[Path, ...]
    texts: tuple[tuple[str, ...], ...]
    conditions: tuple[Path | None, ...]
    sizes: np.ndarray
    broken: list[str] = field(default_factory=list)

    def report_broken(self, file: Path, error: Exception) -> None:
        """Counts and names a picture that can not be read.

        Raises:
          ValueError: it is one too many.
        """
        if file.name in self.broken:
            return
        self.broken.append(file.name)
        total = len(self.files)
        if len(self.broken) > max(1, BROKEN_SHARE * total):
            raise ValueError(
                f"{len(self.broken)} of {total} pictures in {file.parent} can not be read, more "
                f"than {BROKEN_SHARE:.0%}: {', '.join(self.broken[:8])}; mend or remove them"
            )
        warnings.warn(f"{file} can not be read and is left out: {error}", stacklevel=3)


def read_folder(folder: str | Path, caption: str = "") -> Folder:
    """Lists an image folder in the Hub's convention: pictures and a metadata.jsonl.

    Each line of that has `file_name`, and `text` or `texts`. Without it every picture of the folder
    is taken, with `caption`. Only headers are read.

    Raises:
      FileNotFoundError: no such folder, or a picture of the table that is not there.
      ValueError: no pictures, a table that can not be read, or too many broken pictures.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no data folder {folder}")
    rows = _rows(folder, caption)
    if not rows:
        raise ValueError(f"no pictures in {folder}; give a folder of {', '.join(sorted(PICTURES))}")
    files, texts, conditions = zip(*rows, strict=True)
    found = Folder(files, texts, conditions, np.zeros((len(rows), 2), int))
    for i, (file, _, condition) in enumerate(rows):
        for one in (file, condition):
            if one is not None and not one.is_file():
                raise FileNotFoundError(f"{folder / TABLE} names {one.name}, which is not there")
        try:
            found.sizes[i] = image_size(file)
        except OSError as error:
            found.report_broken(file, error)
    readable = np.flatnonzero(found.sizes[:, 0])
    kept = [tuple(column[i] for i in readable) for column in (files, texts, conditions)]
    return Folder(*kept, found.sizes[readable], found.broken)


def _rows(folder: Path, caption: str) -> list[tuple[Path, tuple[str, ...], Path | None]]:
    """File, captions and condition of each picture."""
    table = folder / TABLE
    if not table.is_file():
        files = sorted(f for f in folder.iterdir() if f.suffix.lower() in PICTURES)
        return [(file, (caption,), None) for file in files]
    rows = []
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            texts = ((row["text"],) if "text" in row else ()) + tuple(row.get("texts", ()))
            condition = folder / row[CONDITION] if CONDITION in row else None
            rows.append((folder / row["file_name"], texts or (caption,), condition))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{table} line {number} is not JSON with file_name and text: {error!r}"
            ) from None
    return rows


def bucket_sizes(resolution: int, unit: int, max_aspect: float) -> np.ndarray:
    """Heights and widths [K, 2] that are multiples of `unit` and hold at most resolution^2 pixels.

    Neither side is longer than `max_aspect` times the other; 1 leaves the square alone.
    """
    widths = np.arange(unit, int(resolution * max_aspect**0.5) + 1, unit)
    heights = (resolution**2 // widths // unit * unit).astype(int)
    sizes = np.stack([heights, widths], axis=1)
    fits = (sizes.min(1) > 0) & (sizes.max(1) <= max_aspect * sizes.min(1))
    return sizes[fits]


Bucket = tuple[tuple[int, int], np.ndarray]
"""Height and width, and the pictures [n] that are cut to them."""


def in_buckets(sizes: np.ndarray, buckets: np.ndarray) -> list[Bucket]:
    """Pictures of `sizes` [N, 2], each in the bucket whose aspect ratio is nearest to its own.

    Args:
      buckets: [K, 2] as from `bucket_sizes`; those without pictures are left out.
    """
    aspect = np.log(sizes[:, 0] / sizes[:, 1])
    nearest = np.abs(aspect[:, None] - np.log(buckets[:, 0] / buckets[:, 1])[None]).argmin(1)
    return [
        (tuple(sides), rows)
        for k, sides in enumerate(buckets.tolist())
        if len(rows := np.flatnonzero(nearest == k))
    ]


class Batches:
    """Pictures in batches of one size each; every picture once an epoch.

    An epoch ends with batches that are filled up with pictures of the same bucket.
    """

    def __init__(self, buckets: Sequence[Bucket], batch_size: int, seed: int) -> None:
        self._buckets, self._batch_size, self._seed = buckets, batch_size, seed
        self.an_epoch = sum(-(-len(rows) // batch_size) for _, rows in buckets)
        self._epoch = lru_cache(maxsize=2)(self._planned)

    def rows(self, number: int) -> tuple[tuple[int, int], np.ndarray]:
        """Height and width, and the pictures [B] of a batch."""
        epoch, place = divmod(number, self.an_epoch)
        return self._epoch(epoch)[place]

    def _planned(self, epoch: int) -> list[tuple[tuple[int, int], np.ndarray]]:
        rng, size = generator(self._seed, epoch), self._batch_size
        batches = [
            (sides, part)
            for sides, rows in self._buckets
            for part in np.resize(rng.permutation(rows), (-(-len(rows) // size), size))
        ]
        return [batches[i] for i in rng.permutation(len(batches))]


def decoded(
    folder: Folder, rows: np.ndarray, sides: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures [B, H, W, 3] uint8, how much was cut off at their tops and lefts [B, 2], their rows.

    In place of one that can not be read comes the next of the folder that can.

    Raises:
      ValueError: too many that can not be read.
    """
    pictures, corners, found = [], [], []
    for row in rows:
        for other in np.roll(np.arange(len(folder.files)), -row):
            try:
                picture, top, left = read_cropped(folder.files[other], *sides)
            except OSError as error:
                folder.report_broken(folder.files[other], error)
                continue
            pictures.append(picture)
            corners.append((top, left))
            found.append(other)
            break
    return np.stack(pictures), np.array(corners), np.array(found)
