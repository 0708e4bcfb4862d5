"""Files of arrays, and what is wrong with them, in one line."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from jaxsd.arrays.files import read_array


@pytest.mark.parametrize("dtype", [np.bool_, np.int16, np.uint8, np.float16, np.float64])
def test_numbers_of_all_kinds_are_read_as_they_are(tmp_path: Path, dtype: type) -> None:
    rows = np.arange(24).reshape(2, 3, 4).astype(dtype)
    np.save(tmp_path / "rows.npy", rows)
    np.savez_compressed(tmp_path / "rows.npz", rows)
    for name in ("rows.npy", "rows.npz"):
        read = read_array(tmp_path / name)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, rows)


NAN = np.ones((5, 3, 2))
NAN[3, 1] = np.nan


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (np.ones((5, 3)), r"rows.npy has the shape \[5, 3\]; \[N, T, C\] or \[N, H, W, C\]"),
        (np.ones((5, 3, 0)), r"rows.npy has the shape \[5, 3, 0\]"),
        (np.ones((2, 2, 2), complex), "rows.npy has the dtype complex128; real numbers"),
        (np.full((2, 2, 2), "a"), "rows.npy has the dtype <U1; real numbers"),
        (NAN, "rows.npy: row 3 has a number that is not finite in float32; .* 1 of 5 rows"),
        (np.full((2, 2, 2), 1e60), "row 0 has a number that is not finite in float32"),
        (np.full((2, 2, 2), None), "rows.npy is not a whole .npy or .npz file of numbers"),
    ],
)
def test_wrong_arrays_are_one_line(tmp_path: Path, rows: np.ndarray, line: str) -> None:
    np.save(tmp_path / "rows.npy", rows, allow_pickle=True)
    with pytest.raises(ValueError, match=line) as raised:
        read_array(tmp_path / "rows.npy")
    assert "\n" not in str(raised.value)


def test_wrong_files_are_one_line(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.npy", tmp_path / "cut.npy"
    np.save(whole, np.ones((100, 3, 4)))
    for length in (0, 5, 60, 1_000):
        cut.write_bytes(whole.read_bytes()[:length])
        with pytest.raises(ValueError, match=r"cut\.npy is not a whole") as raised:
            read_array(cut)
        assert "\n" not in str(raised.value)
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2, 2)), b=np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match=r"two\.npz should hold one array, and holds a, b"):
        read_array(tmp_path / "two.npz")
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "broken.npz", np.random.default_rng(0).random((9, 9, 9)))
        broken = bytearray((tmp_path / "broken.npz").read_bytes())
        broken[900:1_000] = bytes(100)
        (tmp_path / "broken.npz").write_bytes(broken)
        with pytest.raises(ValueError, match=r"broken\.npz is not a whole"):
            read_array(tmp_path / "broken.npz")
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as file:
        file.writestr("notes.txt", "no array")
    with pytest.raises(ValueError, match=r"text\.npz is not a whole .* in it is no array"):
        read_array(tmp_path / "text.npz")
    with pytest.raises(FileNotFoundError, match="no file"):
        read_array(tmp_path / "none.npy")
