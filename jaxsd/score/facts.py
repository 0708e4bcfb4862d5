"""What can be said of one picture without a network."""

import hashlib
import math
from typing import NamedTuple

import numpy as np

MEASURES = ("brightness", "contrast", "colourfulness", "red", "green", "blue")
"""`Fact.measures` by name. Brightness and the colours are means, 0 to 1; contrast is the standard
deviation of brightness; colourfulness is 0 to some 109 (Hasler and Suesstrunk 2003, section 7).
"""

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


class Fact(NamedTuple):
    """One picture."""

    name: str
    digest: str  # SHA-256 of its size and pixels, in hex
    width: int
    height: int
    measures: tuple[float, ...]


class Unreadable(NamedTuple):
    """A file that should be a picture."""

    name: str
    error: str


def fact_of(name: str, image: np.ndarray) -> Fact:
    """The facts of a picture, uint8 [H, W, 3]."""
    height, width = image.shape[:2]
    digest = hashlib.sha256(f"{height} {width} ".encode())
    digest.update(np.ascontiguousarray(image))
    return Fact(name, digest.hexdigest(), width, height, measures_of(image))


def measures_of(image: np.ndarray) -> tuple[float, ...]:
    """`MEASURES` of a picture, uint8 [H, W, 3]."""
    pixels = image.reshape(-1, 3).astype(np.float32)
    luma = pixels @ _LUMA.astype(np.float32)
    means = pixels.mean(0, dtype=np.float64) / 255
    return (
        float(means @ _LUMA),
        float(luma.std(dtype=np.float64) / 255),
        colourfulness(pixels),
        *map(float, means),
    )


def colourfulness(pixels: np.ndarray) -> float:
    """Hasler and Suesstrunk's third measure, of pixels [n, 3], 0 to 255."""
    red, green, blue = pixels.T
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    spread, shift = opponents.std(1, dtype=np.float64), opponents.mean(1, dtype=np.float64)
    return math.hypot(*spread) + 0.3 * math.hypot(*shift)


def key_of(fact: Fact) -> int:
    """A number, 0 to 2**64 - 1, that a picture's pixels make up."""
    return int(fact.digest[:16], 16)
