"""Bytes and numbers in [-1, 1]."""

import numpy as np

from jaxsd.images import from_uint8, to_uint8


def test_every_byte_survives() -> None:
    bytes_ = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    floats = from_uint8(bytes_)
    assert floats.dtype == np.float32
    assert (floats.min(), floats.max()) == (-1, 1)
    np.testing.assert_array_equal(to_uint8(floats), bytes_)


def test_floats_become_the_nearest_byte() -> None:
    byte = np.arange(256)
    for apart in (-0.49, 0.49):
        floats = ((byte + apart) / 127.5 - 1).astype(np.float32)
        np.testing.assert_array_equal(to_uint8(floats), byte)


def test_what_is_outside_is_clipped() -> None:
    assert to_uint8(np.float32([-7, -1, 0, 1, 7])).tolist() == [0, 0, 128, 255, 255]
