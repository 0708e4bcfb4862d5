"""Any number of pictures of any size, read as they are needed, in batches of one shape each.

A batch depends only on (seed, number), so a resumed run sees the batches of an uninterrupted one.
"""

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsd.images import image_size, read_cropped
from jaxsd.training.captions import pictures_in
from jaxsd.training.data import generator

BROKEN_SHARE = 0.01
"""Share of pictures that may be unreadable before a run stops."""


File = Path | io.BytesIO
"""What `jaxsd.images` opens."""


@dataclass(frozen=True)
class Broken:
    """Counts and names the unreadable pictures of a place; more than one in a hundred is an error.

    Attributes:
      total: how many pictures there are.
      names: grows as more are found.
    """

    place: Path
    total: int
    names: list[str] = field(default_factory=list)

    def report(self, name: str, error: Exception) -> None:
        """Counts and names a picture.

        Raises:
          ValueError: too many cannot be read.
        """
        if name in self.names:
            return
        self.names.append(name)
        if len(self.names) > max(1, BROKEN_SHARE * self.total):
            raise ValueError(
                f"{len(self.names)} of {self.total} pictures in {self.place} can not be read, "
                f"more than {BROKEN_SHARE:.0%}: {', '.join(self.names[:8])}; mend or remove them"
            )
        warnings.warn(f"{self.place / name} can not be read and is left out: {error}", stacklevel=3)


@dataclass(frozen=True)
class Folder:
    """What is known of pictures before any is decoded.

    Attributes:
      names: in the order of the table, sorted, or in the order of the records.
      texts: captions of each, one or more.
      captioned: whether each has captions of its own, and not the caption for all, [N] bool.
      conditioned: whether each comes with an image for a ControlNet, [N] bool.
      sizes: height and width of each, [N, 2] int.
      read: number of a picture -> the picture and its ControlNet image. Threads call it.
      stored: the files that contain all of them.
    """

    names: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    captioned: np.ndarray
    conditioned: np.ndarray
    sizes: np.ndarray
    read: Callable[[int], tuple[File, File | None]]
    stored: tuple[Path, ...]
    broken: Broken


class Known(NamedTuple):
    """What is known of a picture before it is decoded."""

    texts: tuple[str, ...]  # its own captions
    conditioned: bool
    size: tuple[int, int]  # height and width


def listed(
    place: Path,
    names: Sequence[str],
    look: Callable[[int], Known],
    *,
    caption: str,
    read: Callable[[int], tuple[File, File | None]],
    stored: tuple[Path, ...],
) -> Folder:
    """The pictures of that place whose headers can be read.

    Args:
      look: number of a name -> what is known of it.
      caption: for pictures that have none.
      read: number of a name -> what `Folder.read` gives.

    Raises:
      ValueError: too many can not be read.
    """
    broken, found = Broken(place, len(names)), {}
    for number, name in enumerate(names):
        try:
            found[number] = look(number)
        except OSError as error:
            broken.report(name, error)
    if not found:
        raise ValueError(f"no picture in {place} can be read")
    kept, texts, conditioned, sizes = list(found), *zip(*found.values(), strict=True)
    return Folder(
        names=tuple(names[number] for number in kept),
        texts=tuple(own or (caption,) for own in texts),
        captioned=np.array(list(map(bool, texts))),
        conditioned=np.array(conditioned),
        sizes=np.array(sizes),
        read=lambda number: read(kept[number]),
        stored=stored,
        broken=broken,
    )


def read_folder(folder: str | Path, caption: str = "") -> Folder:
    """Lists an image folder, with captions as `jaxsd.training.captions` finds them.

    `caption` is for pictures without any. Only headers of pictures are read.

    Raises:
      FileNotFoundError: no such folder, or a picture of the table that is not there.
      ValueError: no pictures, captions that can not be read, or too many broken pictures.
    """
    folder = Path(folder)
    rows = pictures_in(folder)
    files = [folder / row.name for row in rows]
    conditions = [row.condition and folder / row.condition for row in rows]
    return listed(
        folder,
        [row.name for row in rows],
        lambda i: Known(rows[i].texts, conditions[i] is not None, image_size(files[i])),
        caption=caption,
        read=lambda i: (files[i], conditions[i]),
        stored=(*files, *filter(None, conditions)),
    )


def bucket_sizes(resolution: int, unit: int, max_aspect: float) -> np.ndarray:
    """Heights and widths [K, 2] that are multiples of `unit` and hold at most resolution^2 pixels.

    Neither side is longer than `max_aspect` times the other; 1 allows only squares.
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
    """Pictures in batches of one size each; an epoch has every picture at least once.

    If the last batch of a bucket is not full, pictures of the bucket are repeated to fill it.
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


class Picture(NamedTuple):
    """A picture as training takes it."""

    row: int  # its number
    pixels: np.ndarray  # [H, W, 3] uint8
    corner: tuple[int, int]  # rows and columns that were cut off at its top and left
    condition: np.ndarray | None  # [H, W, 3] uint8, cut the same way


def decoded(folder: Folder, row: int, sides: tuple[int, int]) -> Picture | None:
    """A picture cut to its sides, or None if it or its ControlNet image cannot be read.

    Raises:
      ValueError: too many cannot be read.
    """
    try:
        picture, condition = folder.read(row)
        pixels, *corner = read_cropped(picture, *sides)
        seen = None if condition is None else read_cropped(condition, *sides)[0]
    except OSError as error:
        folder.broken.report(folder.names[row], error)
        return None
    return Picture(int(row), pixels, tuple(corner), seen)


def all_decoded(folder: Folder, rows: np.ndarray, sides: tuple[int, int]) -> list[Picture]:
    """Pictures; one that cannot be read is replaced by the next of the folder that can.

    Raises:
      ValueError: too many cannot be read.
    """
    orders = (np.roll(np.arange(len(folder.names)), -row) for row in rows)
    found = (map(partial(decoded, folder, sides=sides), order) for order in orders)
    return [next(picture for picture in several if picture is not None) for several in found]
