"""Where a picture comes from: maps of words beside it."""

from collections.abc import Mapping

import numpy as np

from jaxsd.images.labels import text_block
from jaxsd.images.resize import stretched
from jaxsd.images.sheet import contact_sheet

LARGEST = 256
"""Pixels of the longer side of a map, at most."""


def words_sheet(image: np.ndarray, maps: Mapping[str, np.ndarray]) -> np.ndarray:
    """A picture and the map of each word, with the words above, uint8 [h, w, 3].

    Args:
      image: uint8 [H, W, 3].
      maps: float32 [h, w] each; black where a word has the least, white where it has the most.
    """
    scale = min(1.0, LARGEST / max(image.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    shown = [image, *(np.repeat(_grey(own)[..., None], 3, axis=-1) for own in maps.values())]
    pictures = [stretched(one, height, width) for one in shown]
    titles = [text_block(word or " ", width, max(11, width // 12)) for word in ("", *maps)]
    top = max(title.shape[0] for title in titles)
    cells = [
        np.concatenate([_top_left(title, top, width), picture])
        for title, picture in zip(titles, pictures, strict=True)
    ]
    return contact_sheet(np.stack(cells))


def _grey(own: np.ndarray) -> np.ndarray:
    """A map from its least to its largest value, uint8 [h, w]."""
    spread = max(float(np.ptp(own)), 1e-12)
    return np.uint8(np.round(255 * (own - own.min()) / spread))


def _top_left(block: np.ndarray, height: int, width: int) -> np.ndarray:
    """A block of text on white; what is too large is cut."""
    canvas = np.full((height, width, 3), 255, np.uint8)
    block = block[:height, :width]
    canvas[: block.shape[0], : block.shape[1]] = block
    return canvas
