"""Parts of files, mapped into memory."""

import mmap
import os
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np

WINDOW = 32 * 2**20
"""Bytes. A window of a file is mapped once for all tensors in it: Python keeps a file open for each
mapping, and a LoRA has a thousand tensors where a process may have 1,024 open files.
"""
_windows: WeakValueDictionary[tuple[int, ...], mmap.mmap] = WeakValueDictionary()


def mapped(path: Path, start: int, length: int) -> np.ndarray:
    """Bytes of a file, mapped into memory, read-only: reading them into new memory takes four times
    as long.
    """
    if length == 0:
        return np.empty(0, np.uint8)
    with path.open("rb") as file:
        facts = os.fstat(file.fileno())
        if facts.st_size < start + length:
            raise ValueError(f"{path} became shorter while it was read")
        first = start - start % WINDOW
        end = min(facts.st_size, -(-(start + length) // WINDOW) * WINDOW)
        window = (facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size, first, end)
        pages = _windows.get(window)
        if pages is None:
            pages = mmap.mmap(file.fileno(), end - first, access=mmap.ACCESS_READ, offset=first)
            _windows[window] = pages
    if hasattr(mmap, "MADV_WILLNEED"):
        before = (start - first) % mmap.PAGESIZE
        pages.madvise(mmap.MADV_WILLNEED, start - first - before, length + before)
    return np.frombuffer(pages, np.uint8, length, start - first)
