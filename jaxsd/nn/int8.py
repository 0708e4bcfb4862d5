"""Kernels of 8 bits: whole numbers, and a scale for each output channel (Jacob et al. 2018)."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxsd.types import Array

LARGEST = 127
LEAST_NUMBERS = 2**14
"""Smaller kernels, such as the first and the last of a U-Net, stay as they are."""
TOGETHER = 2**20
"""Numbers that are rounded at a time: what they take in float32 is small beside the kernels."""
PARTS = ("unet/", "text/")
"""Networks that may have such kernels. An autoencoder is small, and its errors are seen at once."""


class Int8(NamedTuple):
    """A kernel [..., outputs]: `values * scale`. A tree has it in place of an array."""

    values: Array  # int8 [..., outputs]
    scale: Array  # float32 [1, ..., 1, outputs]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the kernel."""
        return self.values.shape

    @property
    def ndim(self) -> int:
        """Axes of the kernel."""
        return self.values.ndim

    @property
    def dtype(self) -> np.dtype:
        """Of the kernel that it stands for."""
        return np.dtype(np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The kernel that it stands for."""
        return (np.float32(self.values) * np.asarray(self.scale)).astype(dtype or np.float32)


def is_int8(path: str, shape: tuple[int, ...]) -> bool:
    """Whether a parameter of this path becomes 8 bits."""
    named = path.startswith(PARTS) and path.endswith("/kernel")
    return named and len(shape) > 1 and np.prod(shape) >= LEAST_NUMBERS


def to_int8(kernel: np.ndarray) -> Int8:
    """The nearest kernel of 8 bits; the largest number of each output channel becomes 127."""
    rows = kernel.reshape(-1, kernel.shape[-1])
    some = max(1, TOGETHER // rows.shape[1])
    parts = [slice(first, first + some) for first in range(0, len(rows), some)]
    largest = np.max([np.abs(rows[part]).max(0) for part in parts], 0).astype(np.float32)
    scale = np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)
    values = np.empty(rows.shape, np.int8)
    for part in parts:
        values[part] = np.rint(np.float32(rows[part]) / scale)
    ones = (1,) * (kernel.ndim - 1)
    return Int8(values.reshape(kernel.shape), scale.reshape(*ones, -1))


def is_narrow(kernel: Array | Int8, dtype: jnp.dtype) -> bool:
    """Whether a kernel takes less memory than one of a dtype."""
    return isinstance(kernel, Int8) or kernel.dtype.itemsize < jnp.dtype(dtype).itemsize


def widened(kernel: Array | Int8, dtype: Any = jnp.float32) -> Array:
    """A kernel as an array of a dtype."""
    if isinstance(kernel, Int8):
        return kernel.values.astype(dtype) * kernel.scale.astype(dtype)
    return jnp.asarray(kernel, dtype)
