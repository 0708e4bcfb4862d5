"""Pictures of more than 8 bits a channel."""

import numpy as np
from PIL import Image

from jaxsd.images.pixels import ROWS

DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
"""Pillow's modes of more than 8 bits."""

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF


def in_bytes(image: Image.Image) -> Image.Image:
    """A picture of more than 8 bits as grey, with alpha where it names a transparent value.

    Raises:
      ValueError: values above white or below black.
    """
    pixels = np.asarray(image)
    white = _white(image, pixels)
    grey = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), ROWS):
        rows = slice(top, top + ROWS)
        grey[rows] = np.round(pixels[rows] * (255 / white))
    tags = getattr(image, "tag_v2", {})
    result = Image.fromarray(255 - grey if tags.get(_PHOTOMETRIC) == 0 else grey)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        result.putalpha(Image.fromarray(np.where(pixels == clear, 0, 255).astype(np.uint8)))
    return result


def _white(image: Image.Image, pixels: np.ndarray) -> float:
    """The value of white: 1 of floats; of integers what their bits hold.

    Files of 32 bits are taken as 16, which are what programs store there, but only if the values
    show it: up to 255, white could as well be 255.
    """
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, (16,))[0]
    signed = tags.get(_SAMPLE_FORMAT, (1,))[0] == 2
    white = 1 if image.mode == "F" else 2 ** (min(bits, 16) - (signed and bits <= 16)) - 1
    if image.mode == "I" and bits == 32 and not signed:
        pixels = pixels.view(np.uint32)  # Pillow takes them as signed
    low, high = pixels.min(), pixels.max()
    if not 0 <= low <= high <= white:  # false for NaN as well
        raise ValueError(
            f"its values are from {low} to {high}, allowed are 0 to {white}; save it as a PNG"
        )
    if image.mode == "I" and bits == 32 and 0 < high < 256:
        raise ValueError(
            f"its values are from {low} to {high} in 32 bits, and white may be 255 or 65535; "
            "save it as a PNG"
        )
    return white
