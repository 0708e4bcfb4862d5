"""Pixels of one captioned picture: a glyph, silhouette, shape or flag on a plain background.

The layout is fixed: the caption alone decides where a thing is, so a picture is a function of its
caption. All arrays are [128, 128, 3], uint8 sRGB.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from emoji.words import COLOURS

SIZE = 128
GLYPH_SIZE = 112
FLAG_SIZE = 116
FLAG_EDGE = (190, 190, 190)
SUPERSAMPLING = 4
SLOT_SIZE = 56
_NEAR, _MIDDLE, _FAR = 5, 36, 67
SLOTS: dict[str, tuple[tuple[int, int], ...]] = {
    "two": ((_MIDDLE, _NEAR), (_MIDDLE, _FAR)),
    "three": ((_NEAR, _MIDDLE), (_FAR, _NEAR), (_FAR, _FAR)),
    "four": ((_NEAR, _NEAR), (_NEAR, _FAR), (_FAR, _NEAR), (_FAR, _FAR)),
    "top left": ((_NEAR, _NEAR),),
    "top right": ((_NEAR, _FAR),),
    "bottom left": ((_FAR, _NEAR),),
    "bottom right": ((_FAR, _FAR),),
    "to the left of": ((_MIDDLE, _NEAR), (_MIDDLE, _FAR)),
    "above": ((_NEAR, _MIDDLE), (_FAR, _MIDDLE)),
}
"""Top left corners (row, column) of the small drawings of each layout."""


def on_background(rgba: np.ndarray, background: str) -> np.ndarray:
    """A square RGBA drawing (uint8, straight alpha) in the middle of a coloured canvas."""
    canvas = np.empty((SIZE, SIZE, 3), np.float32)
    canvas[:] = COLOURS[background]
    start = (SIZE - len(rgba)) // 2
    inside = slice(start, start + len(rgba))
    alpha = rgba[..., 3:].astype(np.float32) / 255
    canvas[inside, inside] += alpha * (rgba[..., :3] - canvas[inside, inside])
    return np.rint(canvas).astype(np.uint8)


def arranged(small: Sequence[np.ndarray], layout: str) -> np.ndarray:
    """Small RGBA drawings [56, 56, 4] in the slots of a layout on white, in turn."""
    canvas = np.zeros((SIZE, SIZE, 4), np.uint8)
    for i, (top, left) in enumerate(SLOTS[layout]):
        canvas[top : top + SLOT_SIZE, left : left + SLOT_SIZE] = small[i % len(small)]
    return on_background(canvas, "white")


def tinted(rgba: np.ndarray, colour: str) -> np.ndarray:
    """The same drawing as a silhouette of one colour."""
    flat = np.empty_like(rgba)
    flat[..., :3] = COLOURS[colour]
    flat[..., 3] = rgba[..., 3]
    return flat


def _star(centre: float, radius: float) -> list[tuple[float, float]]:
    corners = []
    for i in range(10):
        r = radius if i % 2 == 0 else 0.42 * radius
        angle = i * math.pi / 5
        corners.append((centre + r * math.sin(angle), centre - r * math.cos(angle)))
    return corners


def shape(name: str) -> np.ndarray:
    """A black geometric shape, uint8 [128, 128, 4]; see `words.SHAPES` for the names."""
    side = SIZE * SUPERSAMPLING
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    c, r = side / 2, 0.36 * side
    box = (c - r, c - r, c + r, c + r)
    if name == "circle":
        draw.ellipse(box, fill=255)
    elif name == "ring":
        draw.ellipse(box, outline=255, width=round(0.3 * r))
    elif name == "square":
        draw.rectangle(box, fill=255)
    elif name == "triangle":
        draw.polygon([(c, c - r), (c - r, c + 0.8 * r), (c + r, c + 0.8 * r)], fill=255)
    elif name == "diamond":
        draw.polygon([(c, c - r), (c - 0.75 * r, c), (c, c + r), (c + 0.75 * r, c)], fill=255)
    elif name == "star":
        draw.polygon(_star(c, r), fill=255)
    else:
        raise ValueError(f"unknown shape {name!r}; known: circle square triangle star diamond ring")
    rgba = np.zeros((SIZE, SIZE, 4), np.uint8)
    rgba[..., 3] = np.asarray(mask.resize((SIZE, SIZE), Image.Resampling.BOX))
    return rgba


def edged(rgba: np.ndarray) -> np.ndarray:
    """A rectangular flag with a thin grey edge, so that Japan's is not just a red disc on white."""
    image = Image.fromarray(rgba)
    left, top, right, bottom = image.getbbox()
    ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), outline=FLAG_EDGE)
    return np.asarray(image)
