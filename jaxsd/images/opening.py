"""Opening picture files: damage raises an OSError, pictures are turned upright, with 8 bits."""

import contextlib
import functools
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError

from jaxsd.images.deep import DEEP, in_bytes
from jaxsd.images.png import SIGNATURE, bare, size_in
from jaxsd.text_files import POINTER, bytes_in, pointer_line

File = str | Path | bytes | BinaryIO
"""A picture file on disk or in memory."""

ENDINGS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""How the names of picture files end, in lower case."""
MAX_PIXELS = 2**26
"""Pixels of a picture, at most: 8192 x 8192. A file of 20 kB can have many more."""

_KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM", "TGA", "ICO")
"""What is read. For some others Pillow starts another program, such as Ghostscript for EPS."""

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

_WIDTH, _HEIGHT = 256, 257  # tags of TIFF


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
    if isinstance(path, str | Path) and Path(path).is_file():
        with Path(path).open("rb") as file:
            yield file
        return
    if isinstance(path, str | Path):  # a pipe, which can not go back to its start
        path = bytes_in(path)
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


def frames_in(path: File) -> Iterator[Image.Image]:
    """The frames of an animated picture file in turn; it is one picture, which becomes the next.

    Raises:
      OSError: as `opened`.
    """
    with in_file(path) as file, _read(file, header=False, moving=True) as image:
        yield image
        for number in itertools.count(1):
            try:
                image.seek(number)
                _check_size(*image.size)
                image.load()
            except EOFError:
                return
            except Exception as error:  # Pillow's readers let errors of every kind pass
                raise OSError(f"no picture: frame {number}: {error}") from error
            yield image


def _read(file: BinaryIO, header: bool, moving: bool = False) -> Image.Image:
    try:
        file.seek(0)
        is_png = file.read(len(SIGNATURE)) == SIGNATURE
        if is_png:
            _check_size(*size_in(file))
            file = bare(file, header=header, moving=moving)
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
    if image.mode in DEEP:
        image = in_bytes(image)
    elif image.mode == "LAB":  # Pillow makes nothing else of it
        image = image.convert("RGB")
    return image if turn is None else image.transpose(turn)
