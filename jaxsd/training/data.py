"""Captioned pictures in memory, and the batches drawn from them.

A batch depends only on (seed, step), so a resumed run sees the batches of an uninterrupted one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsd.images import read_image
from jaxsd.training.captions import pictures_in
from jaxsd.types import Array


class Pictures(NamedTuple):
    """A whole image folder in memory."""

    images: np.ndarray  # [N, H, W, 3] uint8
    texts: list[list[str]]  # captions of each, the plainest first
    templates: np.ndarray  # [N] str, kind of picture


def read_pictures(folder: str | Path) -> Pictures:
    """Reads all pictures of a folder, with captions as `jaxsd.training.captions` finds them.

    Raises:
      FileNotFoundError: no such folder, or a picture of the table that is not there.
      ValueError: no pictures, pictures of different sizes, captions that can not be read.
    """
    folder = Path(folder)
    rows = pictures_in(folder)
    images = [read_image(folder / row.name) for row in rows]
    if len(sizes := {image.shape for image in images}) != 1:
        raise ValueError(f"{folder}: pictures of one size are needed, found {sorted(sizes)[:3]}")
    texts = [list(row.texts or ("",)) for row in rows]
    return Pictures(np.stack(images), texts, np.array([row.template for row in rows]))


def generator(seed: int, step: int) -> np.random.Generator:
    """The host's random generator for one batch."""
    return np.random.default_rng([seed, step])


def crops(images: np.ndarray, count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Random squares [count, size, size, 3] uint8, half of them mirrored."""
    chosen = rng.integers(len(images), size=count)
    height, width = images.shape[1:3]
    tops = rng.integers(height - size + 1, size=count)
    lefts = rng.integers(width - size + 1, size=count)
    squares = [
        images[i, top : top + size, left : left + size]
        for i, top, left in zip(chosen, tops, lefts, strict=True)
    ]
    return np.stack([s[:, ::-1] if rng.random() < 0.5 else s for s in squares])


class Mixture:
    """Draws rows by the share of their template, and a caption of each."""

    def __init__(
        self, templates: np.ndarray, shares: dict[str, float], ids: Sequence[np.ndarray]
    ) -> None:
        """Args as in `Pictures.templates`; `ids` are the captions of each row, [n, L] int32.

        Raises:
          ValueError: a share for a template that no picture has.
        """
        if unknown := sorted(set(shares) - set(templates.tolist())):
            raise ValueError(
                f"templates: no picture of kind {unknown[0]!r}; there are "
                f"{', '.join(sorted(set(templates.tolist())))}"
            )
        self._rows = [np.flatnonzero(templates == name) for name in shares]
        self._shares = np.array(list(shares.values())) / sum(shares.values())
        self._ids = ids

    def draw(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, Array]:
        """Rows [count], and token ids [count, L]: the plainest caption half of the time."""
        kinds = rng.choice(len(self._rows), size=count, p=self._shares)
        rows = np.array([rng.choice(self._rows[kind]) for kind in kinds])
        plain = rng.random(count) < 0.5
        ids = [
            self._ids[row][0 if first else rng.integers(len(self._ids[row]))]
            for row, first in zip(rows, plain, strict=True)
        ]
        return rows, np.stack(ids)
