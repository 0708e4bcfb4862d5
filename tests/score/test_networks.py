"""Networks on many devices."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

from jaxsd.inception import SIDE
from jaxsd.parallel import mesh_of
from jaxsd.score.networks import inception_network, weights_hash

COLLECTIVE = r"\b(all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter)\w*\("


def test_pictures_are_shared_out_and_nothing_passes_between_devices() -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("device_runs.py")],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "8"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["same"]
    assert found["shares"] == [[2, 4]] * 8
    assert "f32[2,2,3]" in found["text"]
    assert not re.findall(COLLECTIVE, found["text"])


def test_inception_is_shown_what_clean_fid_shows_it() -> None:
    network = inception_network({}, mesh_of(devices=jax.devices()[:1]))
    found = network.prepare(np.full((9, 7, 3), 255, np.uint8), None)
    assert (found.shape, found.dtype) == ((SIDE, SIDE, 3), np.float32)
    np.testing.assert_allclose(found, 127 / 128, rtol=1e-6)
    found = network.prepare(np.zeros((9, 7, 3), np.uint8), "a prompt")
    np.testing.assert_allclose(found, -1)


def test_a_hash_is_of_names_and_numbers() -> None:
    params = {"a": {"kernel": np.arange(3.0)}}
    assert weights_hash(params) == weights_hash({"a": {"kernel": np.arange(3.0)}})
    assert weights_hash(params) != weights_hash({"a": {"kernel": np.arange(3.0) + 1}})
    assert weights_hash(params) != weights_hash({"b": {"kernel": np.arange(3.0)}})
