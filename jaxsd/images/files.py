"""Picture files, written and read."""

import io
import json
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from jaxsd.images.opening import File, opened, upright, upright_size
from jaxsd.images.pixels import bytes_of, on_white
from jaxsd.images.resize import covering, fitted
from jaxsd.images.texts import PARAMETERS, UNICODE
from jaxsd.writing import replacing

JPEG_QUALITY = 95
"""Of 100. A picture is then some 40 dB from its PNG."""
MOST_EXIF = 2**16 - 3
"""Bytes of a JPEG's segment of Exif, with its name."""
BYTE, UNDEFINED = 1, 7
"""Kinds of values in Exif."""


def png_bytes(image: np.ndarray, texts: Mapping[str, str] | None = None) -> bytes:
    """A PNG of an image, uint8 [H, W, 3], that carries texts by name, as Unicode."""
    chunks = PngInfo()
    for name, text in (texts or {}).items():
        # webui's readers expect tEXt. Its bytes are unambiguous only where they are ASCII.
        plain = name == PARAMETERS and text.isascii()
        chunks.add_text(name, text) if plain else chunks.add_itxt(name, text)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def webp_bytes(image: np.ndarray, texts: Mapping[str, str] | None = None) -> bytes:
    """A lossless WebP of an image, uint8 [H, W, 3], with texts in Exif.

    Raises:
      ValueError: a side is too long for the format.
    """
    _check_sides("WebP", image, 2**14 - 1)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=True, exif=exif_of(texts or {}))
    return buffer.getvalue()


def jpeg_bytes(image: np.ndarray, texts: Mapping[str, str] | None = None) -> bytes:
    """A JPEG of an image, uint8 [H, W, 3], with texts in Exif; colours are not subsampled.

    Raises:
      ValueError: a side, or the texts, are too long for the format.
    """
    _check_sides("JPEG", image, 2**16 - 1)
    exif = exif_of(texts or {})
    if (size := len(exif)) > MOST_EXIF:
        raise ValueError(
            f"prompts and settings have {size} bytes; a JPEG has room for {MOST_EXIF}, "
            "take .png or .webp"
        )
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, exif=exif)
    return buffer.getvalue()


ENCODERS: dict[str, Callable[[np.ndarray, Mapping[str, str] | None], bytes]] = {
    "png": png_bytes,
    "webp": webp_bytes,
    "jpg": jpeg_bytes,
    "jpeg": jpeg_bytes,
}
"""Ending of a picture file -> what makes its bytes of an image and its texts."""


def write_picture(
    path: str | Path, image: np.ndarray, texts: Mapping[str, str] | None = None
) -> None:
    """Writes a picture of the kind that its ending says, whole or not at all.

    Raises:
      ValueError: an ending that is not in `ENCODERS`, or as the encoder raises it.
      OSError: it can not be written.
    """
    packed = encoder_of(path)(image, texts)
    with replacing(Path(path)) as part:
        part.write_bytes(packed)


def encoder_of(path: str | Path) -> Callable[[np.ndarray, Mapping[str, str] | None], bytes]:
    """The encoder for the ending of a picture's name.

    Raises:
      ValueError: another ending.
    """
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in ENCODERS:
        raise ValueError(f"{path} is no name of a picture; it ends with .{', .'.join(ENCODERS)}")
    return ENCODERS[ending]


def _check_sides(kind: str, image: np.ndarray, most: int) -> None:
    height, width = image.shape[:2]
    if max(height, width) > most:
        raise ValueError(
            f"a {kind} has at most {most} pixels along a side, and this is {width}x{height}; "
            "take .png"
        )


def exif_of(texts: Mapping[str, str]) -> bytes:
    """Texts where webui looks for them: `parameters` as a comment, another as the description.

    Pillow says that a comment is of BYTEs. By the standard it is UNDEFINED, and piexif, with which
    webui and others read, makes numbers of any other.
    """
    exif = Image.Exif()
    exif.endian = ">"
    for name, text in texts.items():
        if name == PARAMETERS:
            comment = UNICODE + text.encode("utf-16-be")
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
        else:
            exif[ExifTags.Base.ImageDescription] = json.dumps({name: text})
    entries = (struct.pack(">HH", ExifTags.Base.UserComment, kind) for kind in (BYTE, UNDEFINED))
    return exif.tobytes().replace(*entries, 1)


def decoded(files: Iterable[bytes]) -> np.ndarray:
    """Picture files of one size in memory, uint8 [B, H, W, 3]."""
    return np.stack([read_image(io.BytesIO(packed)) for packed in files])


def read_image(path: File) -> np.ndarray:
    """A picture file as uint8 [H, W, 3], the right way up, on white where it is transparent.

    Raises:
      OSError: not a picture, a truncated one, or values outside of the range of its kind.
    """
    with opened(path) as image:
        return bytes_of(upright(image), on_white)


def read_rgba(path: File) -> tuple[np.ndarray, np.ndarray | None]:
    """A picture file as it is under its transparency, uint8 [H, W, 3], and that, [H, W] or None.

    Raises:
      OSError: as for `read_image`.
    """
    with opened(path) as image:
        image = upright(image)
        if not image.has_transparency_data:
            return bytes_of(image, lambda band: band.convert("RGB")), None
        pixels = bytes_of(image, lambda band: band.convert("RGBA"))
        return pixels[..., :3], pixels[..., 3]


def image_size(path: File) -> tuple[int, int]:
    """Height and width of a picture file the right way up, from its header alone.

    Raises:
      OSError: not a picture.
    """
    with opened(path, header=True) as image:
        return upright_size(image)


def read_cropped(path: File, height: int, width: int) -> tuple[np.ndarray, int, int]:
    """A picture file, brought to a size by `fitted`.

    Returns:
      uint8 [height, width, 3], and how many rows and columns were cut off at its top and left.

    Raises:
      OSError: as in `read_image`.
    """
    image = read_image(path)
    cover = covering(image.shape[:2], height, width)
    return fitted(image, height, width), cover.top, cover.left
