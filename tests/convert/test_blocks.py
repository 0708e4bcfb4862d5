"""Tensors in one aligned piece of memory, however they lay before."""

import numpy as np
import pytest

from jaxsd.convert.tensors import ALIGNMENT, TILE, block


@pytest.mark.parametrize("shape", [(), (5,), (TILE + 6, 2 * TILE + 2), (70, 130, 3, 3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_numbers_are_kept_in_order(shape: tuple[int, ...], dtype: type) -> None:
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float16)
    for way in (array, array.T, array[..., ::2] if shape else array):
        whole = block(way, np.dtype(dtype))
        np.testing.assert_array_equal(whole, way)
        assert whole.dtype == dtype
        assert whole.flags.c_contiguous
        assert whole.ctypes.data % ALIGNMENT == 0
        assert block(whole, whole.dtype) is whole
