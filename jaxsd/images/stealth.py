"""Text that is hidden in the lowest bits of a picture's pixels ("stealth PNG info")."""

import contextlib
import zlib

import numpy as np
from PIL import Image

from jaxsd.images.opening import File, opened
from jaxsd.images.png import MAX_TEXT, decoded

_LOSSLESS = ("PNG", "WEBP", "BMP", "TIFF")
_SIGNATURES = {
    # what bits begin with: the bands they lie in, whether the text is compressed
    b"stealth_pnginfo": ("A", False),
    b"stealth_pngcomp": ("A", True),
    b"stealth_rgbinfo": ("RGB", False),
    b"stealth_rgbcomp": ("RGB", True),
}
_BEGINNING = 15 + 4  # bytes of the signature, and of the number of bits behind it
_GZIP = 31  # zlib's number for it


def hidden_text(path: File) -> str | None:
    """The text in the alpha channel of a picture, or in its colours; None where there is none.

    Bits lie column by column, those of a pixel's colours side by side: a signature, the number of
    bits of the text in 32 bits, the text.

    Raises:
      OSError: not a picture.
    """
    with opened(path, header=True) as image:
        if image.mode not in ("RGB", "RGBA") or image.format not in _LOSSLESS:
            return None
    # Damaged pixels hide nothing; the other texts of such a picture are still read.
    with contextlib.suppress(OSError), opened(path) as image:
        for signature, (bands, compressed) in _SIGNATURES.items():
            packed = _first_bytes(image, bands, _BEGINNING)
            if packed.startswith(signature):
                size = int.from_bytes(packed[len(signature) :], "big") // 8
                text = _first_bytes(image, bands, _BEGINNING + size)[_BEGINNING:]
                return _unpacked(text, compressed) if 0 < size <= len(text) else None
    return None


def _first_bytes(image: Image.Image, bands: str, count: int) -> bytes:
    """As many of the first bytes in some bands as there are, up to `count`."""
    places = [image.getbands().index(band) for band in bands if band in image.getbands()]
    bits = 8 * min(count, MAX_TEXT)
    columns = -(-bits // (image.height * max(1, len(places))))
    strip = np.asarray(image.crop((0, 0, min(columns, image.width), image.height)))
    return np.packbits(strip[..., places].swapaxes(0, 1).ravel()[:bits] & 1).tobytes()


def _unpacked(text: bytes, compressed: bool) -> str | None:
    if not compressed:
        return decoded(text)
    try:
        return decoded(zlib.decompressobj(_GZIP).decompress(text, MAX_TEXT))
    except zlib.error:
        return None
