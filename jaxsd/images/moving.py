"""A camera that moves over a picture: the picture, and noise that moves along with it."""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image


class Move(NamedTuple):
    """What a camera does from one frame to the next.

    Attributes:
      zoom: factor by which things become larger.
      angle: degrees by which they turn, against the clock.
      x: share of the width by which they go to the right.
      y: share of the height by which they go down.
    """

    zoom: float = 1.0
    angle: float = 0.0
    x: float = 0.0
    y: float = 0.0

    def seen(self, height: int, width: int) -> tuple[float, ...]:
        """Where a pixel comes from: (a, b, c, d, e, f), at (a x + b y + c, d x + e y + f).

        Around the middle; a pixel's own middle is at (0.5, 0.5) from its corner.
        """
        turn = math.radians(self.angle)
        cosine, sine = math.cos(turn) / self.zoom, math.sin(turn) / self.zoom
        left, top = width * (0.5 + self.x), height * (0.5 + self.y)  # where the middle goes
        return (
            cosine,
            -sine,
            width / 2 - cosine * left + sine * top,
            sine,
            cosine,
            height / 2 - sine * left - cosine * top,
        )


def moved(image: np.ndarray, move: Move) -> np.ndarray:
    """A picture, uint8 [H, W, 3], after a move, by a bicubic filter; mirrored at its sides."""
    if move == Move():
        return image
    height, width = image.shape[:2]
    beside = max(height, width) // 2
    wide = np.pad(image, ((beside, beside), (beside, beside), (0, 0)), "symmetric")
    a, b, c, d, e, f = move.seen(height, width)
    where = (a, b, c + beside, d, e, f + beside)
    form, method = Image.Transform.AFFINE, Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(wide).transform((width, height), form, where, method))


def moved_noise(noise: np.ndarray, move: Move, fresh: np.ndarray) -> np.ndarray:
    """Noise [h, w, c] after a move: each value goes to one pixel at most, the others are fresh.

    So it stays independent noise of variance 1, whatever the move.
    """
    height, width = noise.shape[:2]
    a, b, c, d, e, f = move.seen(height, width)
    y, x = np.mgrid[:height, :width] + 0.5
    column = np.floor(a * x + b * y + c + 1e-9).astype(int)
    row = np.floor(d * x + e * y + f + 1e-9).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    place = np.flatnonzero(inside)
    taken, first = np.unique((row * width + column).ravel()[place], return_index=True)
    made = fresh.reshape(-1, fresh.shape[-1]).copy()
    made[place[first]] = noise.reshape(-1, noise.shape[-1])[taken]
    return made.reshape(noise.shape)
