"""Picture files, written and read."""

import contextlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from jaxsd.images.opening import File, opened, upright_rgb
from jaxsd.images.resize import covering, fitted
from jaxsd.writing import replacing

PARAMETERS = "parameters"
"""The text that webui and similar programs read."""
UNICODE = b"UNICODE\0"
"""Beginning of an Exif comment in UTF-16."""


def png_bytes(image: np.ndarray, texts: Mapping[str, str] | None = None) -> bytes:
    """A PNG of an image, uint8 [H, W, 3], that carries texts by name, as Unicode."""
    chunks = PngInfo()
    for name, text in (texts or {}).items():
        # add_text writes Latin-1 where that suffices, which other programs expect.
        chunks.add_text(name, text) if name == PARAMETERS else chunks.add_itxt(name, text)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def webp_bytes(image: np.ndarray, texts: Mapping[str, str] | None = None) -> bytes:
    """A lossless WebP of an image, uint8 [H, W, 3], with texts where webui looks for them.

    That is Exif: `parameters` as the user's comment, and the other text as the description.
    """
    exif = Image.Exif()
    for name, text in (texts or {}).items():
        if name == PARAMETERS:
            comment = UNICODE + text.encode("utf-16-be")
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
        else:
            exif[ExifTags.Base.ImageDescription] = json.dumps({name: text})
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=True, exif=exif)
    return buffer.getvalue()


def decoded(files: Iterable[bytes]) -> np.ndarray:
    """Picture files of one size in memory, uint8 [B, H, W, 3]."""
    return np.stack([read_image(io.BytesIO(packed)) for packed in files])


def write_png(path: str | Path, image: np.ndarray, texts: Mapping[str, str] | None = None) -> None:
    """Writes a PNG beside its place and renames it, so that no reader sees half a file."""
    packed = png_bytes(image, texts)
    with replacing(Path(path)) as part:
        part.write_bytes(packed)


def picture_texts(path: File) -> dict[str, str]:
    """The texts that a picture carries by name: the chunks of a PNG, or those of `webp_bytes`.

    Raises:
      OSError: not a picture.
    """
    with opened(path) as image:
        if hasattr(image, "text"):
            return {name: str(value) for name, value in image.text.items()}
        exif = image.getexif()
        texts = {}
        comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment, b"")
        if isinstance(comment, bytes) and comment.startswith(UNICODE):
            texts[PARAMETERS] = comment.removeprefix(UNICODE).decode("utf-16-be", "replace")
        with contextlib.suppress(TypeError, ValueError):
            texts |= json.loads(exif.get(ExifTags.Base.ImageDescription, "{}"))
        return texts


def read_image(path: File) -> np.ndarray:
    """A picture file as uint8 [H, W, 3], the right way up, on white where it is transparent.

    Raises:
      OSError: not a picture, a truncated one, or values outside of the range of its kind.
    """
    with opened(path) as image:
        return np.asarray(upright_rgb(image))


def image_size(path: File) -> tuple[int, int]:
    """Height and width of a picture file the right way up, from its header alone.

    Raises:
      OSError: not a picture.
    """
    with opened(path) as image:
        # Pillow would decode a whole PNG to look for an orientation after the pixels.
        turned = image.format != "PNG" and image.getexif().get(ExifTags.Base.Orientation, 1) > 4
        return image.size if turned else image.size[::-1]


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
