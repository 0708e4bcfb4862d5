"""Opening picture files: damage raises an OSError, pictures are turned upright, with 8 bits."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

File = str | Path | bytes | io.BytesIO
"""A picture file on disk or in memory."""

WHITE = {"I": 65535, "I;16": 65535, "I;16L": 65535, "I;16B": 65535, "I;16N": 65535, "F": 1}
"""The value of white in Pillow's modes of more than 8 bits.

"I" has 32 bits, but Pillow reads 16 bits as "I" too, those of PGM files for example.
"""


@contextlib.contextmanager
def opened(path: File) -> Iterator[Image.Image]:
    """A picture file; every error of Pillow about a damaged one becomes an OSError."""
    try:
        with Image.open(io.BytesIO(path) if isinstance(path, bytes) else path) as image:
            yield image
    except UnidentifiedImageError:
        raise OSError("no picture of a known kind") from None
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(f"no picture: {error}") from error


def upright(image: Image.Image) -> Image.Image:
    """The picture the right way up, with at most 8 bits per channel.

    Pillow's own conversion of 16 bits and floats clips them to 255; here they are scaled.

    Raises:
      ValueError: values above white or below black.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode not in WHITE:
        return image
    white, pixels = WHITE[image.mode], np.asarray(image)
    low, high = pixels.min(), pixels.max()
    if not 0 <= low <= high <= white:  # false for NaN as well
        raise ValueError(
            f"its values are from {low} to {high}, allowed are 0 to {white}; save it as a PNG"
        )
    return Image.fromarray(np.round(pixels * (255 / white)).astype(np.uint8))


def upright_rgb(image: Image.Image) -> Image.Image:
    """The picture the right way up, as RGB, on white where it is transparent."""
    image = upright(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
