"""ggml's kinds of numbers: blocks of so many whole numbers of few bits with common scales.

The names are ggml's. Each function makes of blocks, uint8 [n, bytes], their numbers [n, numbers].
In kinds of "K", a block of 256 has parts of 32 or 16 numbers whose scales are numbers of few bits
themselves.
"""

from collections.abc import Callable
from typing import NamedTuple

import ml_dtypes
import numpy as np


class Blocks(NamedTuple):
    """A kind of numbers.

    Attributes:
      numbers: in a block.
      bytes: of a block.
      unpack: uint8 [n, bytes] -> [n, numbers].
      dtype: of what it gives.
    """

    name: str
    numbers: int
    bytes: int
    unpack: Callable[[np.ndarray], np.ndarray]
    dtype: np.dtype = np.dtype(np.float32)


def _plain(name: str, dtype: np.dtype) -> Blocks:
    return Blocks(name, 1, dtype.itemsize, lambda packed: packed.view(dtype), dtype)


def _half(packed: np.ndarray) -> np.ndarray:
    """float16 [n, 1] of two bytes."""
    return np.ascontiguousarray(packed).view(np.float16).astype(np.float32)


def _nibbles(packed: np.ndarray) -> np.ndarray:
    """The lower halves of bytes [..., k], then the upper ones, [..., 2 k]."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1)


def _bits(packed: np.ndarray) -> np.ndarray:
    """The bits of bytes [n, k], the lowest of a byte first, [n, 8 k]."""
    return np.unpackbits(packed, axis=-1, bitorder="little")


def _q8_0(packed: np.ndarray) -> np.ndarray:
    return _half(packed[:, :2]) * packed[:, 2:].view(np.int8)


def _q4_0(packed: np.ndarray) -> np.ndarray:
    return _half(packed[:, :2]) * (_nibbles(packed[:, 2:]).astype(np.int8) - 8)


def _q4_1(packed: np.ndarray) -> np.ndarray:
    return _half(packed[:, :2]) * _nibbles(packed[:, 4:]) + _half(packed[:, 2:4])


def _five(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return _nibbles(low) | _bits(high) << 4


def _q5_0(packed: np.ndarray) -> np.ndarray:
    numbers = _five(packed[:, 6:], packed[:, 2:6]).astype(np.int8) - 16
    return _half(packed[:, :2]) * numbers


def _q5_1(packed: np.ndarray) -> np.ndarray:
    numbers = _five(packed[:, 8:], packed[:, 4:8])
    return _half(packed[:, :2]) * numbers + _half(packed[:, 2:4])


def _scales(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eight scales and eight minima of six bits each, of twelve bytes, [n, 8, 1]."""
    first, second, rest = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([first & 63, rest & 15 | (first >> 6) << 4], axis=1)
    minima = np.concatenate([second & 63, rest >> 4 | (second >> 6) << 4], axis=1)
    return scales[..., None], minima[..., None]


def _with_scales(packed: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Numbers [n, 8, 32] of a block that begins with two factors and its scales."""
    scales, minima = _scales(packed[:, 4:16])
    scale = _half(packed[:, :2])[..., None] * scales
    least = _half(packed[:, 2:4])[..., None] * minima
    return (scale * numbers - least).reshape(len(packed), -1)


def _q4_k(packed: np.ndarray) -> np.ndarray:
    low = packed[:, 16:].reshape(-1, 4, 32)
    return _with_scales(packed, _nibbles(low).reshape(-1, 8, 32))


def _q5_k(packed: np.ndarray) -> np.ndarray:
    low = _nibbles(packed[:, 48:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    high = _bits(packed[:, 16:48]).reshape(-1, 32, 8).swapaxes(1, 2)
    return _with_scales(packed, low | high << 4)


def _q6_k(packed: np.ndarray) -> np.ndarray:
    low = _nibbles(packed[:, :128].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)
    high = packed[:, 128:192].reshape(-1, 2, 1, 32) >> np.uint8([[0], [2], [4], [6]]) & 3
    numbers = (low | high << 4).astype(np.int8) - 32
    scales = packed[:, 192:208].view(np.int8).reshape(-1, 2, 4, 2, 1)
    scale = _half(packed[:, 208:]).reshape(-1, 1, 1, 1, 1) * scales
    return (scale * numbers.reshape(-1, 2, 4, 2, 16)).reshape(len(packed), -1)


KINDS: dict[int, Blocks] = {
    0: _plain("F32", np.dtype(np.float32)),
    1: _plain("F16", np.dtype(np.float16)),
    2: Blocks("Q4_0", 32, 18, _q4_0),
    3: Blocks("Q4_1", 32, 20, _q4_1),
    6: Blocks("Q5_0", 32, 22, _q5_0),
    7: Blocks("Q5_1", 32, 24, _q5_1),
    8: Blocks("Q8_0", 32, 34, _q8_0),
    12: Blocks("Q4_K", 256, 144, _q4_k),
    13: Blocks("Q5_K", 256, 176, _q5_k),
    14: Blocks("Q6_K", 256, 210, _q6_k),
    30: _plain("BF16", np.dtype(ml_dtypes.bfloat16)),
}
"""ggml's number of a kind -> the kind."""
