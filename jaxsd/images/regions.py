"""A part of a picture, around what is to be painted, that is drawn larger and put back."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxsd.images.pixels import check_uint8
from jaxsd.images.resize import LANCZOS


class Box(NamedTuple):
    """Rows and columns of a picture, the last ones not included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def inside(self) -> tuple[slice, slice]:
        """As an index of a picture [H, W, ...]."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def region_of(mask: np.ndarray, padding: int, height: int, width: int) -> Box:
    """The box around a mask that is drawn in a size, as webui's "only masked".

    It has the proportions of that size, where the picture is large enough, and lies inside of it.

    Args:
      mask: [H, W], above 0 where to paint.
      padding: pixels around that are seen, where the picture has them.
      height: of what is drawn.
      width: likewise.

    Raises:
      ValueError: nothing is to be painted.
    """
    spans = []
    for axis, length in ((1, mask.shape[0]), (0, mask.shape[1])):
        found = np.flatnonzero((mask > 0).any(axis=axis))
        if not found.size:
            raise ValueError("the mask is black everywhere; only_masked needs a part to paint")
        spans.append((max(found[0] - padding, 0), min(found[-1] + 1 + padding, length)))
    tall, wide = (end - start for start, end in spans)
    # One of the two sides grows, to the proportions of what is drawn.
    tall, wide = max(tall, int(wide * height / width)), max(wide, int(tall * width / height))
    (top, bottom), (left, right) = (
        _grown(*span, size, length)
        for span, size, length in zip(spans, (tall, wide), mask.shape, strict=True)
    )
    return Box(top, left, bottom, right)


def _grown(start: int, end: int, size: int, length: int) -> tuple[int, int]:
    """A span of `size`, or of all there is, around a span, moved to lie within `length`."""
    size = min(size, length)
    first = min(max(start - (size - (end - start)) // 2, 0), length - size)
    return int(first), int(first + size)


def cut(picture: np.ndarray, box: Box, height: int, width: int) -> np.ndarray:
    """A part of a picture, uint8 [H, W] or [H, W, 3], in a size."""
    check_uint8("picture", picture)
    part = np.ascontiguousarray(picture[box.inside])
    return np.asarray(Image.fromarray(part).resize((width, height), LANCZOS))


def put_back(drawn: np.ndarray, picture: np.ndarray, box: Box) -> np.ndarray:
    """A picture, uint8 [H, W, 3], with a part replaced by what was drawn, in the part's size."""
    made = picture.copy()
    size = (box.right - box.left, box.bottom - box.top)
    made[box.inside] = np.asarray(Image.fromarray(drawn).resize(size, LANCZOS))
    return made
