"""Inception's weights out of files, without torch."""

from pathlib import Path

import numpy as np
import pytest

from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory
from jaxsd.convert.inception import folded, read_inception
from jaxsd.inception import Block, Convolution, Steps

STEPS: Steps = (
    Convolution("first", 4, (3, 3)),
    Block("mixed", ((Convolution("one", 3),), (Convolution("row", 2, (1, 7)),))),
)
NAMES = {"first": (4, 3, 3, 3), "mixed.one": (3, 4, 1, 1), "mixed.row": (2, 4, 1, 7)}


def state() -> dict[str, np.ndarray]:
    rng, tensors = np.random.default_rng(0), {"fc.weight": np.zeros((1000, 5), np.float32)}
    for name, shape in NAMES.items():
        tensors[f"{name}.conv.weight"] = rng.normal(size=shape)
        tensors[f"{name}.bn.num_batches_tracked"] = np.array(3)
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.bn.{leaf}"] = rng.uniform(0.5, 2, shape[0])
    return {
        name: tensor.astype(np.float32) if tensor.dtype == float else tensor
        for name, tensor in tensors.items()
    }


def write(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    write_safetensors(path, {name: in_memory(array) for name, array in tensors.items()}, {})
    return path


def test_a_norm_becomes_part_of_its_convolution(tmp_path: Path) -> None:
    tensors = state()
    params, classes = read_inception(write(tmp_path / "a.safetensors", tensors), STEPS)
    assert classes == 1000
    assert set(params) == {"first", "mixed"}
    assert set(params["mixed"]) == {"one", "row"}
    row = params["mixed"]["row"]
    assert row["kernel"].shape == (1, 7, 4, 2)
    # One patch through both: a convolution and then its norm, in plain numbers.
    patch = np.random.default_rng(1).normal(size=(4, 1, 7))
    plain = np.einsum("ihw,oihw->o", patch, tensors["mixed.row.conv.weight"])
    weight, bias, mean, variance = (
        tensors[f"mixed.row.bn.{leaf}"]
        for leaf in ("weight", "bias", "running_mean", "running_var")
    )
    want = (plain - mean) / np.sqrt(variance + 1e-3) * weight + bias
    got = np.einsum("ihw,hwio->o", patch, row["kernel"]) + row["bias"]
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_folding_keeps_float32() -> None:
    ones = dict.fromkeys(("scale", "bias", "mean", "variance"), np.ones(2, np.float16))
    found = folded({"kernel": np.ones((1, 1, 3, 2), np.float16), **ones})
    assert {leaf.dtype.name for leaf in found.values()} == {"float32"}


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    tensors = state()
    del tensors["mixed.one.bn.running_var"]
    tensors["first.conv.weight"] = tensors["first.conv.weight"][:, :1]
    tensors["other.weight"] = np.zeros(3, np.float32)
    path = write(tmp_path / "a.safetensors", tensors)
    with pytest.raises(ValueError, match=r"1 missing: mixed\.one\.bn\.running_var; 1 unused: oth"):
        read_inception(path, STEPS)
    with pytest.raises(FileNotFoundError, match="no Inception weights at"):
        read_inception(tmp_path / "absent.pth")
