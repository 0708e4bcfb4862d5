"""Bytes of pictures, and the numbers in [-1, 1] that networks compute with.

Traced programs have their own copies of these formulas.
"""

import numpy as np
from PIL import Image


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Floats in [-1, 1], of any shape, as the nearest bytes, 0 to 255; values outside are clipped.

    diffusers' `VaeImageProcessor` computes the same. NaN has no byte: check for it first.
    """
    return np.round((images.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def from_uint8(images: np.ndarray) -> np.ndarray:
    """Bytes of any shape as float32 in [-1, 1]; `to_uint8` gives the same bytes back."""
    return images.astype(np.float32) / 127.5 - 1


def as_pillow(images: np.ndarray) -> list[Image.Image]:
    """Pictures uint8 [B, H, W, 3] as Pillow's."""
    return [Image.fromarray(image) for image in images]


def check_uint8(name: str, image: np.ndarray) -> None:
    """Checks that a picture is uint8.

    Raises:
      ValueError: another dtype.
    """
    if image.dtype != np.uint8:
        raise ValueError(
            f"{name} is {image.dtype}; uint8 is needed, to_uint8 makes it of floats in [-1, 1]"
        )
