"""The same pictures on every mesh, by a process that has eight devices."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_models import relative_error

from jaxsd.parallel import (
    images_per_step,
    mesh_of,
    param_sharding,
    param_specs,
    place_param,
    placing,
)
from jaxsd.pipeline.loading import placed_as_int8

HERE = Path(__file__).parent
PATHS = os.pathsep.join(map(str, (HERE.parent, HERE.parents[1])))
"""Of the helpers, and of the package that is tested."""


@pytest.mark.slow
def test_meshes_draw_the_same_and_share_images_and_weights(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, HERE / "mesh_runs.py", tmp_path],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "8", "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])

    want = np.load(tmp_path / "1-1-1.npy")
    for mesh in ("8-1-1", "1-8-1", "2-2-2"):
        # Only the order of float32 sums may differ, and three steps amplify it.
        assert relative_error(np.load(tmp_path / f"{mesh}.npy"), want) < 2e-5

    # With the data axis alone nothing passes between devices, in the loop or outside of it.
    assert found["data"]["collectives"] == found["one"]["collectives"] == []
    assert found["fsdp"]["collectives"] == ["all-gather"]
    assert "all-reduce" in found["all"]["collectives"]

    # Every device has its own images, and its program no others.
    assert found["data"]["images"] == found["fsdp"]["images"] == [[1, 8, 8, 3]] * 8
    assert found["all"]["images"] == [[2, 8, 8, 3]] * 8
    assert found["data"]["largest_batch"] == 2  # a negative beside each prompt
    assert found["one"]["largest_batch"] == 16

    one = found["one"]["bytes"]
    assert found["data"]["bytes"] == one
    for part in one:
        # An eighth and a quarter of the kernels. Vectors and the ends of the networks are whole,
        # and tables of tokens are split by "fsdp" alone.
        assert found["fsdp"]["bytes"][part] < 0.2 * one[part]
        assert found["all"]["bytes"][part] < 0.4 * one[part]

    # Pipelines of other devices share programs in files, and none in memory.
    assert found["beside"] == [[0, 1], [2, 3], [4], [5]] * 2
    assert len(list((tmp_path / "programs").iterdir())) == 4  # noise and drawing, for two and one

    # A kernel that XLA cannot split runs on each device's images and heads.
    assert found["attention"]["error"] < 1e-6
    assert found["attention"]["share"] == [1, 6, 2, 8]
    assert found["attention"]["collectives"] == []

    few = np.load(tmp_path / "few.npz")
    assert few["1-1-1"].shape == (3, 4, 4, 4)
    assert relative_error(few["4-2-1"], few["1-1-1"]) < 2e-5


@pytest.mark.release
def test_kernels_of_8_bits_draw_the_same_on_meshes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, HERE / "mesh_runs.py", tmp_path, "int8"],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "8", "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    one, data, fsdp, whole = json.loads(done.stdout.splitlines()[-1])
    want = np.load(tmp_path / "1-1-1.npy")
    for mesh in ("8-1-1", "1-8-1", "2-2-2"):
        assert relative_error(np.load(tmp_path / f"{mesh}.npy"), want) < 2e-5
    assert data["collectives"] == []
    for part in ("unet", "text"):
        assert data["bytes"][part] == one["bytes"][part]
        # Scales are whole, unless outputs are split.
        assert fsdp["bytes"][part] < 0.3 * one["bytes"][part]
        assert whole["bytes"][part] < 0.5 * one["bytes"][part]


@pytest.mark.release
def test_two_hosts_draw_their_own_halves_on_one_mesh(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    hosts = [
        subprocess.Popen(
            [sys.executable, HERE / "host_runs.py", str(port), str(host), tmp_path],
            env=os.environ | {"JAX_NUM_CPU_DEVICES": "2", "PYTHONPATH": PATHS},
            stderr=subprocess.PIPE,
            text=True,
        )
        for host in range(2)
    ]
    for host in hosts:
        _, said = host.communicate(timeout=900)
        assert host.returncode == 0, said
    alone = np.load(tmp_path / "alone.npy")
    for mesh in ("4-1-1", "1-4-1"):
        halves = [np.load(tmp_path / f"{mesh}-{host}.npy") for host in range(2)]
        # As between meshes of one host: the order of float32 sums, amplified by three steps.
        assert relative_error(np.concatenate(halves), alone) < 2e-5


def test_a_parameter_lies_where_the_rules_say() -> None:
    mesh = mesh_of((1, 1, 1), jax.devices()[:1])
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    placed = place_param(mesh, "unet/proj_in/kernel", array)
    np.testing.assert_array_equal(placed, array)
    assert tuple(placed.sharding.spec) == ("fsdp", "tensor")
    with pytest.raises(ValueError, match="no rule for parameter unet/new"):
        place_param(mesh, "unet/new", array)
    packed = placed_as_int8(placing(mesh), "unet/proj_in/kernel", np.ones((128, 256), np.float32))
    np.testing.assert_array_equal(packed, np.ones((128, 256)))
    assert tuple(packed.values.sharding.spec) == ("fsdp", "tensor")
    assert tuple(packed.scale.sharding.spec) == (None, "tensor")
    path = "unet/conv_in/kernel/scale"
    assert tuple(param_sharding(path, (1, 1, 1, 8), mesh).spec) == (None, None, None, "tensor")
    assert images_per_step(mesh) == 1
    assert param_specs({"unet": {"conv_in": {"bias": array}}}, mesh)["unet"]["conv_in"]["bias"] == (
        jax.sharding.PartitionSpec()
    )
