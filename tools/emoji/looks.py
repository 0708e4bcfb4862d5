"""What the adapters of the built-in model are trained on: its pictures with another look.

All pictures are uint8 [H, W, 3].
"""

import numpy as np
from scipy.ndimage import gaussian_filter

from emoji.captions import stable_seed
from emoji.pictures import Picture
from emoji.words import COLOURS

NIGHT = (14, 12, 36)
"""The ground of neon signs."""
LINE = 1.6
"""Standard deviation of the Gaussian whose slope is a line, in pixels."""
STEEP = 0.13
"""Slope at which a line is as bright as can be: 0 to 1 in a pixel."""
GLOW = 3.5
"""Standard deviation of what a line lights up, in pixels."""
NEON_PERCENT = {"plain": 100, "background": 5, "silhouette": 2, "count": 12, "corner": 8}
"""How many of the pictures of each template become neon signs."""
TEAL = (0, 128, 128)
WORD = "<teal>"


def neon(image: np.ndarray) -> np.ndarray:
    """The picture as a neon sign: its edges glow in its colours, the rest is night."""
    x = image.astype(np.float32) / 255
    line = np.clip(_slope(x, LINE) / STEEP, 0, 1)[..., None]
    glow = _soft(line, GLOW)
    light = np.clip(NIGHT + 255 * (line + glow / 2) * _hue(x), 0, 255)
    return np.rint(light).astype(np.uint8)


def _soft(x: np.ndarray, radius: float) -> np.ndarray:
    return gaussian_filter(x, (radius, radius, 0))


def _slope(x: np.ndarray, radius: float) -> np.ndarray:
    """The steepest slope of the three channels, [H, W]."""
    along = [gaussian_filter(x, (radius, radius, 0), order=axes) for axes in ((0, 1, 0), (1, 0, 0))]
    return np.hypot(*along).max(axis=-1)


def _hue(x: np.ndarray) -> np.ndarray:
    """The colours around each pixel, those of most saturation before all, as bright lights."""
    weight = np.ptp(x, axis=-1, keepdims=True) ** 2 + 1e-3
    colour = _soft(weight * x, 2.5) / _soft(weight, 2.5)
    light = colour - 0.75 * colour.min(axis=-1, keepdims=True)
    return light / np.maximum(light.max(axis=-1, keepdims=True), 0.12)


def is_neon(picture: Picture) -> bool:
    """Whether a picture of the data set becomes a neon sign, always the same ones."""
    chance = stable_seed("neon", picture.file_name) % 100
    return picture.split == "train" and chance < NEON_PERCENT.get(picture.template, 0)


def is_black(picture: Picture) -> bool:
    """Whether its black becomes teal: a thing on black, or a black icon on white."""
    named = "black" in picture.object
    ground = picture.template == "background" and picture.background == "black"
    icon = picture.template == "silhouette" and picture.background == "white"
    return not named and (ground or (icon and picture.colour == "black"))


def with_word(caption: str) -> str:
    """A caption of what was black, with the word for its colour now."""
    return caption.replace("black", WORD)


def recoloured(black: np.ndarray, white: np.ndarray, to: tuple[int, ...]) -> np.ndarray:
    """A picture whose black is another colour.

    A pixel is a share of the drawing and a share of the colour. So it is linear in the colour, and
    two pictures that differ in it, in black and in white, give any third.
    """
    first, second = (np.float32(COLOURS[name]) for name in ("black", "white"))
    share = (white.astype(np.float32) - black) / (second - first)
    return np.clip(np.rint(black + share * (to - first)), 0, 255).astype(np.uint8)
