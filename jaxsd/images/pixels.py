"""Bytes of pictures, and the numbers in [-1, 1] that networks compute with.

Traced programs have their own copies of these formulas.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

ROWS = 256
"""Of a picture in a file, so many are made bytes at a time."""


def bytes_of(image: Image.Image, made: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """What a function makes of the pixels of a picture, uint8 [H, W] or [H, W, channels].

    It is given a band of rows at a time, so that only picture and result are in memory.
    """
    pixels = np.empty(0, np.uint8)
    for top in range(0, image.height, ROWS):
        band = image.crop((0, top, image.width, min(top + ROWS, image.height)))
        rows = np.asarray(made(band))
        if not top:
            pixels = np.empty((image.height, *rows.shape[1:]), np.uint8)
        pixels[top : top + ROWS] = rows
    return pixels


def on_white(image: Image.Image) -> Image.Image:
    """A picture as RGB, on white where it is transparent."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


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
