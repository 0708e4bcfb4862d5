import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.release
def test_pictures_of_two_devices_are_those_of_one():
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    own = os.environ | {
        "PYTHONPATH": paths,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, Path(__file__).with_name("device_runs.py")]
    told = subprocess.run(command, env=own, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    print(told.stdout)
    assert "20 pictures are the same to the bit" in told.stdout
