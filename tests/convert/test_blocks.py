"""Tensors in one aligned piece of memory, however they lay before."""

from pathlib import Path

import numpy as np
import pytest

from jaxsd.convert.files.safetensors_file import read_safetensors, write_safetensors
from jaxsd.convert.files.tensors import ALIGNMENT, CACHE_LINE, block, in_memory, load


@pytest.mark.parametrize("shape", [(), (5,), (CACHE_LINE + 6, 2 * CACHE_LINE + 2), (70, 130, 3, 3)])
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


def test_what_is_loaded_from_a_file_does_not_change_with_it(tmp_path: Path) -> None:
    # Tensors of 56 bytes begin at multiples of 8, one in eight of them where memory is aligned.
    want = {f"n{i}": np.arange(i, i + 14, dtype=np.float32) for i in range(64)}
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {name: in_memory(array) for name, array in want.items()}, {})
    tensors, _ = read_safetensors(path)
    assert not any(tensor.read().flags.writeable for tensor in tensors.values())
    got = load(tensors)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array)
