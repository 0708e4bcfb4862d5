"""Parts of files are what the files hold, by few mappings."""

import gc
import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from jaxsd.convert.files import mapping
from jaxsd.convert.files.mapping import mapped

BYTES = np.random.default_rng(0).integers(0, 256, 5 * mmap.ALLOCATIONGRANULARITY + 7, np.uint8)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(mapping, "WINDOW", 2 * mmap.ALLOCATIONGRANULARITY)
    path = tmp_path / "numbers"
    path.write_bytes(BYTES.tobytes())
    return path


def test_parts_that_begin_and_end_anywhere(file):
    edges = [0, 1, *(edge + i for edge in range(0, 5 * 4096, 4096) for i in (-1, 0, 1)), len(BYTES)]
    edges = [edge for edge in edges if 0 <= edge <= len(BYTES)]
    for start in edges:
        for end in edges:
            if end >= start:
                part = mapped(file, start, end - start)
                np.testing.assert_array_equal(part, BYTES[start:end])
                assert end == start or not part.flags.writeable


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_a_thousand_parts_in_use_keep_few_files_open(file):
    gc.collect()  # what other tests left
    before = len(os.listdir("/proc/self/fd"))
    parts = [mapped(file, start, 8) for start in range(0, 8000, 8)]
    assert len(os.listdir("/proc/self/fd")) - before <= 3
    np.testing.assert_array_equal(np.concatenate(parts), BYTES[:8000])
    del parts
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_file_in_place_of_another_is_mapped_anew(file):
    old = mapped(file, 0, 16)
    other = file.with_name("other")
    other.write_bytes(bytes(len(BYTES)))
    os.replace(other, file)
    np.testing.assert_array_equal(mapped(file, 0, 16), np.zeros(16))
    np.testing.assert_array_equal(old, BYTES[:16])
    with pytest.raises(ValueError, match="numbers became shorter while it was read"):
        mapped(file, len(BYTES) - 3, 4)
