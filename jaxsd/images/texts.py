"""The texts that picture files carry: chunks of PNG, EXIF of all kinds, XMP."""

import contextlib
import re

from PIL import ExifTags, Image

from jaxsd.images.opening import File, exif_of, in_file, opened
from jaxsd.images.png import SIGNATURE, XMP, decoded, texts_in
from jaxsd.images.xmp import xmp_texts
from jaxsd.text_files import table_of

PARAMETERS = "parameters"
"""The text that webui and similar programs read."""
UNICODE = b"UNICODE\0"
"""Beginning of an Exif comment in UTF-16."""

_CODES = (b"ASCII\0\0\0", bytes(8))
_TAGS = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
)
_NAMED = re.compile(r"(prompt|workflow):\s*(?=\{)", re.IGNORECASE)  # ComfyUI writes them so


def picture_texts(path: File) -> dict[str, str]:
    """The texts that a picture carries by name: those of a PNG, and those in EXIF and XMP.

    The user's comment in EXIF, or the comment of a GIF, is called `parameters`, since webui writes
    there what it writes under this name into a PNG.

    Raises:
      OSError: not a picture.
    """
    with in_file(path) as file:
        with opened(file, header=True) as image:
            texts = _exif_texts(exif_of(image))
            comment = image.info.get("comment") if image.format == "GIF" else None
            xmp = image.info.get("xmp", b"")
        if isinstance(comment, bytes):
            texts.setdefault(PARAMETERS, decoded(comment))
        file.seek(0)
        is_png = file.read(len(SIGNATURE)) == SIGNATURE
        texts |= texts_in(file) if is_png else {}
        xmp = texts.get(XMP) or decoded(xmp if isinstance(xmp, bytes) else b"")
        return xmp_texts(xmp) | texts


def _exif_texts(exif: Image.Exif) -> dict[str, str]:
    texts = {}
    for tag in _TAGS:
        text = exif.get(tag)
        if not isinstance(text, str) or not text:
            continue
        if named := _NAMED.match(text):
            texts[named[1].lower()] = text[named.end() :]
            continue
        texts[tag.name] = text
        with contextlib.suppress(ValueError):
            inner = table_of(text, tag.name)  # as `webp_bytes` writes it
            texts |= {name: value for name, value in inner.items() if isinstance(value, str)}
    comment = _user_comment(exif)
    return texts | ({PARAMETERS: comment} if comment else {})


def _user_comment(exif: Image.Exif) -> str:
    try:
        comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment, b"")
    except Exception:  # Pillow lets errors of every kind pass, and damage here is no comment
        return ""
    if isinstance(comment, str):
        return comment.strip("\0")
    if not isinstance(comment, bytes):
        return ""
    if comment.startswith(UNICODE):
        return _utf_16(comment.removeprefix(UNICODE)).strip("\0")
    coded = comment[:8] in _CODES
    return decoded(comment[8:] if coded else comment).strip("\0")


def _utf_16(packed: bytes) -> str:
    """UTF-16 in the byte order that a mark says, or in which ASCII letters have their zeros."""
    if packed[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return packed.decode("utf-16", "replace")
    big = packed[0::2].count(0) >= packed[1::2].count(0)
    return packed.decode("utf-16-be" if big else "utf-16-le", "replace")
