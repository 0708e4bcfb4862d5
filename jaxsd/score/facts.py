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
    planes = np.ascontiguousarray(image.reshape(-1, 3).T).astype(np.float64)
    first = planes[:, 0].copy()
    planes -= first[:, None]  # so that a picture of one colour has a covariance of exactly 0
    shift = planes.mean(1)
    covariance = planes @ planes.T / planes.shape[1] - np.outer(shift, shift)
    means = first + shift

    def deviation(weights: np.ndarray) -> float:
        return math.sqrt(max(0.0, weights @ covariance @ weights))

    colourfulness = math.hypot(*map(deviation, _OPPONENTS)) + 0.3 * math.hypot(*_OPPONENTS @ means)
    brightness, contrast = _LUMA @ means / 255, deviation(_LUMA) / 255
    return (float(brightness), contrast, colourfulness, *map(float, means / 255))


def key_of(fact: Fact) -> int:
    """A number, 0 to 2**64 - 1, from the hash of a picture's pixels."""
    return int(fact.digest[:16], 16)
