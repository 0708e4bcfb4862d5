"""Text that is hidden in the lowest bits of an alpha channel ("stealth PNG info")."""

import zlib

import numpy as np

from jaxsd.images.opening import File, opened
from jaxsd.images.png import MAX_TEXT, decoded

_SIGNATURES = {b"stealth_pnginfo": False, b"stealth_pngcomp": True}  # -> whether it is compressed
_GZIP = 31  # zlib's number for it


def hidden_text(path: File) -> str | None:
    """The text in the alpha channel of a picture; None where there is none.

    Bits lie column by column: a signature, the number of bits of the text in 32 bits, the text.

    Raises:
      OSError: not a picture.
    """
    with opened(path, header=True) as image:
        if image.mode != "RGBA":
            return None
    with opened(path) as image:
        alpha = np.asarray(image.getchannel("A"))
    packed = np.packbits(alpha.T.ravel() & 1).tobytes()
    signature, size, rest = packed[:15], int.from_bytes(packed[15:19], "big") // 8, packed[19:]
    if signature not in _SIGNATURES or size > len(rest):
        return None
    if not _SIGNATURES[signature]:
        return decoded(rest[:size])
    try:
        return decoded(zlib.decompressobj(_GZIP).decompress(rest[:size], MAX_TEXT))
    except zlib.error:
        return None
