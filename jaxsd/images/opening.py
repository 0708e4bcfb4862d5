"""Opening picture files: damage raises an OSError, pictures are turned upright, with 8 bits."""

import contextlib
import functools
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from jaxsd.images.png import SIGNATURE, bare, size_in
from jaxsd.text_files import POINTER, pointer_line

File = str | Path | bytes | BinaryIO
"""A picture file on disk or in memory."""

ENDINGS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""How the names of picture files end, in lower case."""
MAX_PIXELS = 2**26
"""Pixels of a picture, at most: 8192 x 8192. A file of 20 kB can have many more."""

_KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM", "TGA", "ICO")
"""What is read. For some others Pillow starts another program, such as Ghostscript for EPS."""

_DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")  # Pillow's modes of more than 8 bits
_ROWS = 256  # are made bytes at a time
_METHOD = Image.Transpose
_TURNS = {
    2: _METHOD.FLIP_LEFT_RIGHT,
    3: _METHOD.ROTATE_180,
    4: _METHOD.FLIP_TOP_BOTTOM,
    5: _METHOD.TRANSPOSE,
    6: _METHOD.ROTATE_270,
    7: _METHOD.TRANSVERSE,
    8: _METHOD.ROTATE_90,
}
"""EXIF's orientation -> what turns the picture upright."""

_BEGINNINGS = (SIGNATURE, b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
"""First bytes of PNG, JPEG, GIF, WebP, BMP, and TIFF in its two byte orders."""

# TIFF's tags.
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 256, 257, 258, 262, 339


def is_picture(path: str | Path) -> bool:
    """Whether a path is a file that begins as pictures do."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        head = file.read(9)
    known = head.startswith(_BEGINNINGS) or head[4:8] == b"ftyp"  # AVIF
    return known and head[8:] != b"{"  # which is one of safetensors


@contextlib.contextmanager
def in_file(path: File) -> Iterator[BinaryIO]:
    """The bytes of a picture file; one that is open already stays open."""
    if isinstance(path, str | Path):
        if Path(path).exists() and not Path(path).is_file():  # a pipe would be waited for
            raise OSError(f"{path} is no file")
        with Path(path).open("rb") as file:
            yield file
    else:
        yield io.BytesIO(path) if isinstance(path, bytes) else path


@contextlib.contextmanager
def opened(path: File, *, header: bool = False) -> Iterator[Image.Image]:
    """A picture file with its pixels; every error about a damaged one becomes an OSError.

    Args:
      header: True for a picture without its pixels, whose header alone is read.

    Raises:
      OSError: not a picture, a damaged one, or one of more than `MAX_PIXELS`.
    """
    with in_file(path) as file:
        image = _read(file, header)
        with image:
            try:
                yield image
            except ValueError as error:
                raise OSError(f"no picture: {error}") from error


def _read(file: BinaryIO, header: bool) -> Image.Image:
    try:
        file.seek(0)
        is_png = file.read(len(SIGNATURE)) == SIGNATURE
        if is_png:
            _check_size(*size_in(file))
            file = bare(file, header=header)
        image = Image.open(file, formats=("PNG",) if is_png else _kinds())
        _check_size(*image.size)
        if not header:
            image.load()
    except UnidentifiedImageError:
        file.seek(0)
        pointer = file.read(len(POINTER)) == POINTER
        known = f"no picture of a known kind: {', '.join(_kinds())}"
        raise OSError(pointer_line("it") if pointer else known) from None
    except Image.DecompressionBombError:
        raise OSError(f"no picture: {_LIMIT}") from None
    except Exception as error:  # Pillow's readers let errors of every kind pass
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise OSError(f"no picture: {error}") from error
    return image


@functools.cache
def _kinds() -> tuple[str, ...]:
    """Those of `_KINDS` that this Pillow has: AVIF came with 11.3."""
    Image.init()
    return tuple(kind for kind in _KINDS if kind in Image.OPEN)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels, {_LIMIT}")


_LIMIT = f"more than {MAX_PIXELS:,} are not read; make it smaller"


def exif_of(image: Image.Image) -> Image.Exif:
    """The EXIF data of a picture; none if they are damaged."""
    try:
        # Not PNG's own method, which would decode the pixels to look behind them.
        return Image.Image.getexif(image)
    except Exception:  # as above: metadata must not prevent pixels from being read
        return Image.Exif()


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of an opened picture the right way up, from its header."""
    width, height = image.size
    if image.format == "TIFF":  # whose size Pillow turns, depending on its version
        width, height = image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT]
    turned = exif_of(image).get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def upright(image: Image.Image) -> Image.Image:
    """The picture the right way up, with at most 8 bits per channel.

    Pillow's own conversion of 16 bits and floats clips them to 255; here they are scaled.

    Raises:
      ValueError: values above white or below black.
    """
    turn = _TURNS.get(exif_of(image).get(ExifTags.Base.Orientation))
    if image.format == "TIFF":  # Pillow turns it when it reads the pixels
        turn = None
    if image.mode in _DEEP:
        image = _in_bytes(image)
    elif image.mode == "LAB":  # Pillow makes nothing else of it
        image = image.convert("RGB")
    return image if turn is None else image.transpose(turn)


def _in_bytes(image: Image.Image) -> Image.Image:
    """A picture of more than 8 bits as grey, with alpha where it names a transparent value."""
    pixels = np.asarray(image)
    white = _white(image, pixels)
    grey = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), _ROWS):
        rows = slice(top, top + _ROWS)
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


def upright_rgb(image: Image.Image) -> Image.Image:
    """The picture the right way up, as RGB, on white where it is transparent."""
    image = upright(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    result = Image.new("RGB", image.size)
    for top in range(0, image.height, _ROWS):
        band = image.crop((0, top, image.width, min(top + _ROWS, image.height))).convert("RGBA")
        white = Image.new("RGBA", band.size, "white")
        result.paste(Image.alpha_composite(white, band).convert("RGB"), (0, top))
    return result
