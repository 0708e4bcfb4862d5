"""The same run on one device and on eight, in a process that has eight."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.mark.slow
def test_meshes_agree_and_share_the_memory(tmp_path: Path) -> None:
    here = Path(__file__).parent
    paths = (here.parent, here, here.parents[1])
    done = subprocess.run(
        [sys.executable, here / "sharded_runs.py", tmp_path],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "8", "PYTHONPATH": ":".join(map(str, paths))},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    one, eight = found["one"], found["eight"]
    assert len(one["losses"]) == 3
    assert len(set(one["losses"])) == 3
    # The order of float32 sums differs, and AdamW's first steps divide by small numbers.
    np.testing.assert_allclose(eight["losses"], one["losses"], rtol=1e-4)
    # Four devices share all kernels; vectors, and the two ends of the network, they do not.
    assert eight["bytes"] < 0.3 * one["bytes"]
