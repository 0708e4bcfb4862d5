"""Facts about one picture that need no network."""

import hashlib
import math
from typing import NamedTuple

import numpy as np

MEASURES = ("brightness", "contrast", "colourfulness", "red", "green", "blue")
"""`Fact.measures` by name. Brightness and the colours are means, 0 to 1; contrast is the standard
deviation of brightness; colourfulness is 0 to about 109 (Hasler and Suesstrunk 2003, section 7).
"""

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_OPPONENTS = np.array([[1, -1, 0], [0.5, 0.5, -1]])  # red less green, yellow less blue
_BAND = 2**16  # pixels that are numbers of 64 bits at a time


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
    """`MEASURES` of a picture, uint8 [H, W, 3]: all from mean and covariance of its channels."""
    pixels = image.reshape(-1, 3)
    count, total, products = len(pixels), np.zeros(3, np.int64), np.zeros((3, 3), np.int64)
    for start in range(0, count, _BAND):
        planes = np.ascontiguousarray(pixels[start : start + _BAND].T).astype(np.float64)
        total += planes.sum(1).astype(np.int64)
        products += (planes @ planes.T).astype(np.int64)
    # Whole numbers, so a picture of one colour has a covariance of exactly 0.
    exact = count * products.astype(object) - np.outer(total.astype(object), total.astype(object))
    covariance = exact.astype(np.float64) / count**2
    means = total / count

    def deviation(weights: np.ndarray) -> float:
        return math.sqrt(max(0.0, weights @ covariance @ weights))

    colourfulness = math.hypot(*map(deviation, _OPPONENTS)) + 0.3 * math.hypot(*_OPPONENTS @ means)
    brightness, contrast = _LUMA @ means / 255, deviation(_LUMA) / 255
    return (float(brightness), contrast, colourfulness, *map(float, means / 255))


def key_of(fact: Fact) -> int:
    """A number, 0 to 2**64 - 1, from the hash of a picture's pixels."""
    return int(fact.digest[:16], 16)
