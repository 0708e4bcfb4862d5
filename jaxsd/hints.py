"""Pictures that a ControlNet sees (hints), made from other pictures without a network.

A hint is uint8 [H, W, 3] and has the size of the picture. Lines are 255 on 0, as ControlNets for
edges and sketches were trained.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

_NEIGHBOURS = np.ones((3, 3), bool)
"""A pixel touches all eight around it."""
_TAN_22 = 13573
"""tan(22.5 degrees) * 2^15, rounded as OpenCV rounds it."""
_HALF = 127


def canny(image: np.ndarray, low: float = 100, high: float = 200) -> np.ndarray:
    """Edges, one pixel wide (Canny 1986), as OpenCV's `Canny` finds them.

    ControlNets for edges were trained with that function. Unlike the paper's, it does not blur, and
    the strength of a gradient is |dx| + |dy|, of 3x3 Sobel filters, in the channel where it is
    largest.

    Args:
      image: [H, W, 3] uint8.
      low: a line continues where the gradient is stronger than this.
      high: a line needs one pixel stronger than this. A step between two flat colours has four
        times their difference in a channel. If it is below `low`, the two are swapped.

    Returns:
      [H, W, 3] uint8, 255 on edges and 0 elsewhere, all channels equal.
    """
    low, high = sorted((int(np.floor(low)), int(np.floor(high))))
    dx, dy = _strongest(*_sobel(image))
    strength = np.abs(dx) + np.abs(dy)
    thin = (strength > low) & _is_ridge(strength, dx, dy)
    lines, count = ndimage.label(thin, _NEIGHBOURS)
    kept = np.zeros(count + 1, bool)
    kept[lines[thin & (strength > high)]] = True
    return _as_picture(kept[lines])


def _sobel(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives to the right and down, [H, W, C] int32; outside, the border is repeated."""
    pixels = np.pad(image.astype(np.int32), ((1, 1), (1, 1), (0, 0)), "edge")
    rows = pixels[:-2] + 2 * pixels[1:-1] + pixels[2:]
    columns = pixels[:, :-2] + 2 * pixels[:, 1:-1] + pixels[:, 2:]
    return rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2]


def _strongest(dx: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both derivatives [H, W] in the channel where |dx| + |dy| is largest, the first of equals."""
    channel = (np.abs(dx) + np.abs(dy)).argmax(-1)[..., None]
    return tuple(np.take_along_axis(d, channel, -1)[..., 0] for d in (dx, dy))


def _is_ridge(strength: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Whether a pixel is the strongest of three along its gradient, [H, W] bool.

    The gradient counts as one of four directions, 45 degrees apart. Of two equal neighbours in a
    row or column, the first is kept.
    """
    around = np.pad(strength, 1)
    height, width = strength.shape

    def moved(down: int, right: int) -> np.ndarray:
        return around[1 + down : 1 + down + height, 1 + right : 1 + right + width]

    flat = np.abs(dx).astype(np.int64) * _TAN_22
    rise = np.abs(dy).astype(np.int64) << 15
    steep = flat + (np.abs(dx).astype(np.int64) << 16)  # tan(67.5) = tan(22.5) + 2
    falling = (strength > moved(-1, -1)) & (strength > moved(1, 1))
    rising = (strength > moved(-1, 1)) & (strength > moved(1, -1))
    return np.select(
        [rise < flat, rise > steep, (dx ^ dy) < 0],
        [
            (strength > moved(0, -1)) & (strength >= moved(0, 1)),
            (strength > moved(-1, 0)) & (strength >= moved(1, 0)),
            rising,
        ],
        falling,
    )


def scribble(image: np.ndarray) -> np.ndarray:
    """A sketch as white lines on black.

    On light paper (the median is above 127), pixels that are at most 127 in any channel become
    lines. On dark paper, pixels above 127 in any channel do.

    Args:
      image: [H, W, 3] uint8.

    Returns:
      [H, W, 3] uint8, 255 on lines and 0 elsewhere.
    """
    on_paper = np.median(image) > _HALF
    return _as_picture(image.min(-1) <= _HALF if on_paper else image.max(-1) > _HALF)


def as_given(image: np.ndarray) -> np.ndarray:
    """The picture itself, [H, W, 3] uint8: it is a hint already (depth, a pose, segments)."""
    return image


def _as_picture(lines: np.ndarray) -> np.ndarray:
    return np.repeat(np.where(lines, 255, 0).astype(np.uint8)[..., None], 3, axis=-1)


HINTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "canny": canny,
    "scribble": scribble,
    "as_given": as_given,
}
"""Name -> function from a picture [H, W, 3] uint8 to the hint for a ControlNet of that kind."""
