"""Tensors that are read on demand, so that a conversion holds one of them at a time."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from jaxsd.types import Array, Params

DTYPES: dict[str, np.dtype] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
"""What weights may be converted to."""
INT8 = "int8"
"""Named like a dtype: kernels are kept in 8 bits, and networks compute in float32."""
HALVES = {dtype for dtype in DTYPES.values() if dtype.itemsize == 2}
"""Dtypes that networks widen fast enough to do so at every use."""
READERS = min(4, os.cpu_count() or 1)
"""Threads that read and transpose; memory holds about as many tensors beside the finished ones."""
ALIGNMENT = 64
"""Bytes. On a CPU, JAX uses an array in place if it begins at a multiple of them, or copies it."""
CACHE_LINE = 64
"""Bytes of the last axis that are transposed at a time: what is read and written then stays in the
cache. Arrays of float32, 1280 x 2560 x 3 x 3 and 1280 x 5120, take 0.3 and 0.2 of the time without
it, and each of these copies is long enough that other threads of Python go on beside it.
"""
MOST_AXES = 64
"""Axes of an array of NumPy."""
_INFINITE = 0x7C00
"""The exponent of infinity and of what is no number, in float16."""
_NARROW = {
    np.dtype(kind)
    for kind in (
        ml_dtypes.bfloat16,
        ml_dtypes.float8_e4m3fn,
        ml_dtypes.float8_e5m2,
        ml_dtypes.float8_e4m3fnuz,
        ml_dtypes.float8_e5m2fnuz,
    )
}


@dataclass(frozen=True)
class LazyTensor:
    """An array with a known shape and dtype, whose numbers are fetched by `read()`."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    @property
    def nbytes(self) -> int:
        """Size of the numbers in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def transformed(
        self, shape: tuple[int, ...], function: Callable[[np.ndarray], np.ndarray]
    ) -> "LazyTensor":
        """The tensor that `function` makes of this one when it is read."""
        return LazyTensor(shape, self.dtype, lambda: function(self.read()))


FlatTree = dict[str, LazyTensor]
"""Path (`conv_in/kernel`) or a file's name (`conv_in.weight`) -> tensor."""


def in_memory(array: Array) -> LazyTensor:
    """A lazy tensor over an array that exists already (NumPy or JAX; copied to host when read)."""
    return LazyTensor(tuple(array.shape), np.dtype(array.dtype), lambda: np.asarray(array))


def is_floating(dtype: np.dtype) -> bool:
    """Whether weights may come in this dtype."""
    return dtype.kind == "f" or dtype in _NARROW


def dtype_named(name: str) -> np.dtype:
    """The dtype of that name.

    Raises:
      ValueError: if weights cannot be converted to it.
    """
    if name not in DTYPES:
        raise ValueError(f"dtype {name!r} is not one of {', '.join(DTYPES)}")
    return DTYPES[name]


def cast(tensor: LazyTensor, dtype: np.dtype | None, path: str) -> LazyTensor:
    """The tensor in another floating dtype; as stored where `dtype` is `None`.

    Its axes stay in memory as they lie, which is three times as fast as to transpose meanwhile, and
    nothing is transposed where a file of the same layout is written.

    Raises (when read):
      ValueError: if a finite number does not fit into float16, whose largest value is 65504.
    """
    if dtype is None or tensor.dtype == dtype:
        return tensor

    def read() -> np.ndarray:
        array = tensor.read()
        with np.errstate(over="ignore"):
            result = array.astype(dtype, order="K")
        if dtype == np.float16 and _overflows(array, result):
            raise ValueError(f"{path} has values that float16 cannot hold; use bfloat16 or float32")
        return result

    return LazyTensor(tensor.shape, dtype, read)


def computed_in(name: str) -> str:
    """The dtype that networks compute in, of a name in `DTYPES` or "int8".

    Raises:
      ValueError: neither.
    """
    if name != INT8 and name not in DTYPES:
        raise ValueError(f"dtype {name!r} is not one of {', '.join((*DTYPES, INT8))}")
    return "float32" if name == INT8 else name


def unwidened(tensor: LazyTensor, dtype: np.dtype | None, path: str) -> LazyTensor:
    """As `cast`, but 16 bits stay: networks widen them at use, which gives the same."""
    if dtype is not None and tensor.dtype in HALVES and tensor.dtype.itemsize < dtype.itemsize:
        return tensor
    return cast(tensor, dtype, path)


def _overflows(array: np.ndarray, result: np.ndarray) -> bool:
    """Whether a number became infinite in float16."""
    exponents = result.view(np.uint16) & _INFINITE  # a tenth of the time of isfinite
    infinite = exponents.size > 0 and exponents.max() == _INFINITE
    return infinite and bool(np.any(np.isfinite(array) & ~np.isfinite(result)))


def flatten(tree: Params) -> FlatTree:
    """A nested dict of arrays or lazy tensors as path -> tensor, joined by `/`."""
    flat: FlatTree = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}/{path}": leaf for path, leaf in flatten(value).items()})
        else:
            flat[name] = value if isinstance(value, LazyTensor) else in_memory(value)
    return flat


def without(tensors: FlatTree, names: Iterable[str]) -> FlatTree:
    """The tensors except those with these names."""
    names = set(names)
    return {name: tensor for name, tensor in tensors.items() if name not in names}


def on_host(path: str, array: np.ndarray) -> np.ndarray:
    """Leaves a parameter where it was read."""
    return array


def block(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The array in a dtype, contiguous, aligned, and not mapped from a file, by one pass over it;
    the array itself if it is so already. Arrays mapped from a file are read-only.
    """
    own = array.flags.writeable and array.flags.c_contiguous
    if own and array.ctypes.data % ALIGNMENT == 0 and array.dtype == dtype:
        return array
    nbytes = array.size * dtype.itemsize
    memory = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    result = memory[start : start + nbytes].view(dtype).reshape(array.shape)
    if array.flags.c_contiguous or array.ndim < 2:
        np.copyto(result, array, casting="unsafe")
        return result
    columns = CACHE_LINE // dtype.itemsize
    for j in range(0, array.shape[-1], columns):
        np.copyto(result[..., j : j + columns], array[..., j : j + columns], casting="unsafe")
    return result


def load(tree: FlatTree, place: Callable[[str, np.ndarray], Array] = on_host) -> Params:
    """Reads path -> tensor into a nested dict; each is given to `place`, in order, when read."""
    read = zip(tree, read_ahead(tree.values(), _in_block), strict=True)
    return nested((path, place(path, array)) for path, array in read)


def _in_block(tensor: LazyTensor) -> np.ndarray:
    return block(tensor.read(), tensor.dtype)


def nested(leaves: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Paths with their leaves, as a nested dict."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves:
        *parents, last = path.split("/")
        node = tree
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = leaf
    return tree


def read_ahead(
    tensors: Iterable[LazyTensor], read: Callable[[LazyTensor], np.ndarray]
) -> Iterator[np.ndarray]:
    """What `read` makes of each, in order; some are read while one is used."""
    waiting: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
        for tensor in tensors:
            waiting.append(pool.submit(read, tensor))
            if len(waiting) > READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
