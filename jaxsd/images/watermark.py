"""An invisible watermark: bytes that a picture's pixels carry, as invisible-watermark's "dwtDct".

The blue difference U of YUV is halved by Haar's wavelet. Of each 4 x 4 block of that, the largest
value but the first says one bit; the bits are repeated over the picture:

  bit = (value mod STEP) > STEP / 2.

The package's decoder, which Stable Diffusion's own scripts use, reads what is written here. It
raises that one value. Here the middle four are raised, or all that are above are lowered, which
lossy files keep better.
"""

import zlib

import numpy as np

STEP = 36
"""Between values that say the same bit: the package's own. U changes by 9 of 255 at most."""
LONGEST = 32
"""Bytes of a text."""
LEAST_VOTES = 3
"""Blocks that say each bit, at least."""
SURE = 0.5
"""How surely a block says its bit, from -1 to 1, so that colours are said to have room for it."""

_SIDE = 8  # pixels along a block
_BAND = 256  # rows that are looked at together
_ZERO = 2 * 128  # U's zero in a picture of bytes, as the wavelet doubles it
_MIDDLE = np.float32(np.isin(np.arange(16), (5, 6, 9, 10)))  # of a block
_LUMA = np.float32([0.299, 0.587, 0.114])
_BLUE = 0.492  # U = _BLUE * (B - Y)
_GREEN = 0.114 / 0.587 / _BLUE  # of a unit of U, so that Y stays


def payload(text: str) -> bytes:
    """The bytes that stand for a text: its own, and their CRC-32, by which it is found again."""
    packed = text.encode()
    return packed + zlib.crc32(packed).to_bytes(4, "big")


def check_room(text: str, height: int, width: int) -> None:
    """Finds out whether a picture has enough blocks for a text.

    Raises:
      ValueError: it has not, or the text is too long for any.
    """
    size = len(text.encode())
    if size > LONGEST:
        raise ValueError(f"watermark {text!r} has {size} bytes; allowed are up to {LONGEST}")
    blocks = (height // _SIDE) * (width // _SIDE)
    most = blocks // (8 * LEAST_VOTES) - len(payload(""))
    if size > most:
        raise ValueError(
            f"watermark {text!r} has {size} bytes, and a picture of {width}x{height} has room for "
            f"{max(0, most)}; take a shorter text or a larger picture"
        )


def marked(image: np.ndarray, packed: bytes) -> np.ndarray:
    """A picture with bytes in its pixels, uint8 [H, W, 3].

    Every block's largest value goes to the nearest one that says its bit, or to the next nearest
    where colours have no room for that.

    Args:
      image: uint8 [H, W, 3].
      packed: any bytes, such as those of `payload`.
    """
    height, width = (side // _SIDE * _SIDE for side in image.shape[:2])
    blocks = _blocks(image)
    bits = np.resize(np.unpackbits(np.frombuffer(packed, np.uint8)), len(blocks))
    level = (0.25 + 0.5 * bits) * STEP
    value = _values(blocks)
    below = np.floor((value - level) / STEP) * STEP + level
    rises = value - below > STEP / 2
    for _ in range(2):
        aim = np.where(rises, below + STEP, below)[:, None]
        change = np.where(rises[:, None], _MIDDLE * (aim - blocks), np.minimum(0, aim - blocks))
        made = image.copy()
        made[:height, :width] = _bluer(image[:height, :width], change)
        rises ^= _says(made) * (2.0 * bits - 1) < SURE
    return made


def _bluer(image: np.ndarray, change: np.ndarray) -> np.ndarray:
    """A picture whose blocks of U change by [N, 16]; Y and V stay.

    Pixels that leave the range get lighter or darker, which keeps U.
    """
    height, width = image.shape[:2]
    blocks = change.reshape(height // _SIDE, width // _SIDE, 4, 4) / 2
    own = blocks.swapaxes(1, 2).reshape(height // 2, width // 2).repeat(2, axis=0).repeat(2, axis=1)
    made = image + own[..., None] * np.float32([0, -_GREEN, 1 / _BLUE])
    made += np.maximum(0, -made.min(-1))[..., None]
    made -= np.maximum(0, made.max(-1) - 255)[..., None]
    return np.clip(np.round(made), 0, 255).astype(np.uint8)


def message_in(image: np.ndarray) -> str | None:
    """The text that `payload` made the bytes of, in a picture uint8 [H, W, 3]; None without one."""
    bands = range(0, max(1, len(image)), _BAND)
    says = np.concatenate([_says(image[top : top + _BAND]) for top in bands])
    for size in range(5, 5 + LONGEST):
        places = np.arange(len(says)) % (8 * size)
        packed = np.packbits(np.bincount(places, says, 8 * size) > 0).tobytes()
        text = packed[:-4].decode(errors="replace")
        if payload(text) == packed:
            return text
    return None


def _says(image: np.ndarray) -> np.ndarray:
    """How surely each block says 1, from -1 to 1."""
    return -np.sin(2 * np.pi * _values(_blocks(image)) / STEP)


def _values(blocks: np.ndarray) -> np.ndarray:
    return blocks[:, 1:].max(1)


def _blocks(image: np.ndarray) -> np.ndarray:
    """U's halved values in blocks, float32 [N, 16], of a picture's whole blocks."""
    height, width = (side // _SIDE for side in image.shape[:2])
    image = image[: height * _SIDE, : width * _SIDE].astype(np.float32)
    blue = _BLUE * (image[..., 2] - image @ _LUMA)
    halved = blue.reshape(height * 4, 2, width * 4, 2).sum((1, 3)) / 2 + _ZERO
    return halved.reshape(height, 4, width, 4).swapaxes(1, 2).reshape(-1, 16)
