"""Files of PhotoMakers: both layouts, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from photomaker_fakes import WIDTHS, photomaker_tensors, tower
from safetensors.numpy import save_file

from jaxsd.convert.adapter_parameters import photomaker_parameters
from jaxsd.convert.photomaker import open_photomaker


def written(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    save_file(tensors, path)
    return path


def test_both_layouts_are_one(tmp_path: Path) -> None:
    """The table `id_encoder` alone, and beside a LoRA; two projections become one."""
    tensors = photomaker_tensors()
    ids = {"vision_model.embeddings.position_ids": np.arange(5)}
    alone = written(tmp_path / "alone.safetensors", tensors | ids)
    beside = {f"id_encoder.{name}": own for name, own in tensors.items()}
    beside["lora_weights.unet.mid_block.to_q_lora.down.weight"] = np.ones((2, 4), np.float32)
    trees = []
    for path in (alone, written(tmp_path / "whole.safetensors", beside)):
        config, tree = open_photomaker(path)
        assert config == tower()
        assert {name: own.shape for name, own in tree.items()} == photomaker_parameters(config)
        trees.append({name: own.read() for name, own in tree.items()})
    for name, own in trees[0].items():
        np.testing.assert_array_equal(own, trees[1][name])
    kernel = trees[0]["vision/visual_projection/kernel"]
    first, second = np.split(kernel, [WIDTHS[0]], axis=1)
    np.testing.assert_array_equal(first.T, tensors["visual_projection.weight"])
    np.testing.assert_array_equal(second.T, tensors["visual_projection_2.weight"])
    np.testing.assert_array_equal(
        trees[0]["fuse_module/mlp1/fc1/kernel"].T, tensors["fuse_module.mlp1.fc1.weight"]
    )


@pytest.mark.parametrize(
    ("more", "less", "message"),
    [
        (
            {"qformer_perceiver.token_norm.weight": (4,)},
            "",
            "is a PhotoMaker v2, which sees a face by two networks; take photomaker-v1.bin",
        ),
        ({"other.weight": (4,)}, "", "PhotoMaker: it does not fit: 1 unused: other.weight"),
        ({}, "visual_projection_2.weight", "PhotoMaker: visual_projection_2.weight is missing or"),
        ({"visual_projection_2.weight": (48, 3)}, "", "projection_2.weight takes 3 numbers, and"),
        ({}, "vision_model.embeddings.class_embedding", "class_embedding is missing or of the"),
        ({"fuse_module.layer_norm.bias": (3,)}, "", r"layer_norm.bias \[3\] instead of \[80\]"),
        ({"x.lora_up.weight": (4, 2)}, "fuse_module", "is a LoRA, not a PhotoMaker"),
        ({}, "fuse_module", "is of a kind that is not known, not a PhotoMaker"),
    ],
)
def test_what_is_refused(
    more: dict[str, tuple[int, ...]], less: str, message: str, tmp_path: Path
) -> None:
    ones = {name: np.ones(shape, np.float32) for name, shape in more.items()}
    tensors = photomaker_tensors() | ones
    kept = {name: own for name, own in tensors.items() if not less or not name.startswith(less)}
    path = written(tmp_path / "file.safetensors", kept)
    with pytest.raises(ValueError, match=message) as error:
        open_photomaker(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
