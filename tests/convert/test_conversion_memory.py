"""A conversion holds a tensor or two, not the model."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from convert_fakes import random_model
from test_round_trip import FAMILIES, write_folder

from jaxsd import convert
from jaxsd.config import Level

# The largest tensor is 6% of it.
WIDE = replace(
    FAMILIES["sd1"],
    unet=replace(
        FAMILIES["sd1"].unet,
        levels=(Level(128, 2, 1, 8), Level(256, 2, 1, 8), Level(256, 2, 1, 8), Level(256, 2, 0, 8)),
    ),
)
# Peaks of the process before and after, in bytes. Not getrusage's, which begin with the parent's.
PROGRAM = """
import re, sys
from pathlib import Path
from jaxsd.convert.conversion import open_conversion
status = Path("/proc/self/status")
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", status.read_text())[1])
before = peak()
open_conversion(sys.argv[1], sys.argv[2], dtype=sys.argv[3] or None).run(lambda count: None)
print(before, peak())
assert not {"jax", "torch", "transformers"} & set(sys.modules)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize(
    ("source", "destination", "dtype"),
    [
        ("model", "b.safetensors", ""),
        ("model", "b.safetensors", "bfloat16"),
        ("a.safetensors", "b.safetensors", ""),
        ("model", "b", ""),
    ],
)
def test_peak(big, tmp_path, source, destination, dtype):
    command = [sys.executable, "-c", PROGRAM, big / source, tmp_path / destination, dtype]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    size = (big / "a.safetensors").stat().st_size
    assert size > 150e6
    assert after < 1.3 * size, "the whole process"
    assert after - before < 0.3 * size, "what the conversion adds"


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    place = tmp_path_factory.mktemp("big")
    params = random_model(WIDE)
    write_folder(place / "model", WIDE, params)
    convert.write_single_file(place / "a.safetensors", WIDE, params)
    return place


def test_reading_hands_over_one_tensor_at_a_time(big):
    """With a place to put them, the host never holds more than one."""
    seen = []

    def place(path, array):
        seen.append(array.nbytes)
        return np.zeros(0)

    convert.open_model(big / "model").params(None, place)
    assert sum(seen) > 150e6
    assert max(seen) < 0.06 * sum(seen)
