"""Arrays that people bring, `.npy` or `.npz`, checked when they are read."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

RANKS = (3, 4)
"""Axes of data: [N, T, C] or [N, H, W, C]."""


def read_array(path: str | Path) -> np.ndarray:
    """The array of a file, float32 [N, T, C] or [N, H, W, C]; C is last.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not such a file, several arrays, another shape, no real numbers, or one that is
        not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; give a .npy or .npz file of an array")
    try:
        opened = np.load(path, mmap_mode="r", allow_pickle=False)
        array = opened if isinstance(opened, np.ndarray) else _only(opened, path)
    except (ValueError, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} is not a whole .npy or .npz file of numbers: {error}") from None
    return checked_array(array, str(path))


def checked_array(array: np.ndarray, name: str) -> np.ndarray:
    """The array as float32.

    Args:
      array: [N, T, C] or [N, H, W, C] of any kind of real numbers.
      name: what a message calls it.

    Raises:
      ValueError: it is not what `read_array` allows.
    """
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} has the dtype {array.dtype}; real numbers are needed")
    if array.ndim not in RANKS or 0 in array.shape:
        raise ValueError(
            f"{name} has the shape {list(array.shape)}; [N, T, C] or [N, H, W, C] is needed, with "
            "an axis of length 1 for a single channel"
        )
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32)
    finite = np.isfinite(numbers).reshape(len(numbers), -1).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(
            f"{name}: row {row} has a number that is not finite in float32; mend or remove "
            f"{np.count_nonzero(~finite)} of {len(finite)} rows"
        )
    return numbers


def _only(opened: np.lib.npyio.NpzFile, path: Path) -> np.ndarray:
    """The array of an .npz file."""
    with opened:
        if len(opened.files) != 1:
            names = ", ".join(opened.files) or "none"
            raise ValueError(f"{path} should hold one array, and holds {names}")
        array = opened[opened.files[0]]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{opened.files[0]} in it is no array")
    return array
