"""A ControlNet as a low-rank change of the U-Net."""

import json
import re
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import TINY, abstract_unet, random_params
from tiny_runs import tiny_model, tiny_pictures

from jaxsd.config import ControlNetConfig, Level
from jaxsd.convert import read, read_controlnet
from jaxsd.convert.adapter_parameters import controlnet_parameters
from jaxsd.models import controlnet_from_unet
from jaxsd.training.config import TrainConfig
from jaxsd.training.control_lora import WHOLE, ControlLora, control_lora
from jaxsd.training.subtrees import Leaves, split
from jaxsd.training.tasks import task_of
from jaxsd.types import Params

RANK = 3
SHAPE = ControlNetConfig(replace(TINY["sd1"].unet, levels=(Level(32, 1, 1, 2),)), 3, (4, 8))


@pytest.fixture(scope="module")
def params() -> Params:
    return {"unet": random_params(abstract_unet(SHAPE.unet))}


@pytest.fixture(scope="module")
def change(params: Params) -> ControlLora:
    return control_lora(SHAPE, params["unet"], RANK)


def leaves(tree: Params) -> Leaves:
    return split(tree, [".*"]).trained


def test_at_first_it_is_the_copy_that_a_whole_controlnet_begins_as(
    change: ControlLora, params: Params
) -> None:
    key = jax.random.key(5)
    tree = change.adapt(change.begin(params, key))
    assert set(tree) == {*params, "controlnet"}
    want = controlnet_from_unet(SHAPE, params["unet"], key)
    assert jax.tree.structure(tree["controlnet"]) == jax.tree.structure(want)
    jax.tree.map(np.testing.assert_array_equal, tree["controlnet"], want)
    assert {p: x.shape for p, x in leaves(want).items()} == controlnet_parameters(SHAPE)


def test_a_kernel_of_the_encoder_half_moves_by_its_factors_alone(
    change: ControlLora, params: Params
) -> None:
    tree = change.begin(params, jax.random.key(0))
    before = leaves(change.adapt(tree)["controlnet"])
    for path, factors in list(tree["lora"].items())[::5]:
        moved = {**factors, "up": jnp.ones_like(factors["up"])}
        after = leaves(change.adapt(tree | {"lora": tree["lora"] | {path: moved}})["controlnet"])
        name = path.removeprefix("unet/")
        down = factors["down"]
        added = down.sum(-1, keepdims=True)  # the product with ones
        np.testing.assert_allclose(after[name], before[name] + added, atol=1e-5)
        assert down.shape == (*before[name].shape[:-1], RANK)
        others = [p for p in before if not np.array_equal(before[p], after[p])]
        assert others == [name]
    kernels = {path.removeprefix("unet/") for path in tree["lora"]}
    assert kernels == {path for path in before if not re.fullmatch(WHOLE, path)}


def test_what_is_trained_is_smaller_than_a_copy_and_leaves_the_model_alone(
    change: ControlLora, params: Params
) -> None:
    trained = split(change.begin(params, jax.random.key(0)), change.trained).trained
    assert not [path for path in trained if not path.startswith(("controlnet/", "lora/"))]
    assert not [path for path in trained if path.endswith("alpha")]


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    data = tiny_pictures(tmp_path / "data", 2)
    table = data / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    rows = [row | {"conditioning_image_file_name": row["file_name"]} for row in rows]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return TrainConfig(
        task="controlnet",
        output=str(tmp_path / "run"),
        data=str(data),
        model=str(tiny_model(tmp_path / "tiny")),
        steps=2,
        batch_size=2,
        learning_rate=1e-2,
        warmup_steps=0,
        ema_decay=0.0,
        controlnet_rank=RANK,
        hint_channels=(4, 8),
    )


def test_a_run_begins_with_zeros_moves_and_is_written_whole(
    config: TrainConfig, tmp_path: Path
) -> None:
    task = task_of(config)
    trained = task.start(jax.random.key(0))
    batch = task.batches()(0, slice(0, 2))
    loss = jax.jit(jax.grad(lambda leaves: task.loss(leaves, task.frozen, batch, KEY)[0]))
    # At first the image is not seen: only the convolutions of zeros, that let it through, move.
    for path, value in loss(trained).items():
        zero = re.match("controlnet/controlnet_(down|mid)", path) is not None
        assert (float(jnp.abs(value).max()) > 0) == zero, path
    # Not the first factors: what they are multiplied with is still zero.
    opened = {
        path: leaf + 0.1 if path.startswith("controlnet/controlnet_") else leaf
        for path, leaf in trained.items()
    }
    for path, value in loss(opened).items():
        if not path.endswith("down"):
            assert float(jnp.abs(value).max()) > 0, path

    task.exports["diffusers"](tmp_path / "whole", opened)
    shape, params = read_controlnet(tmp_path / "whole")
    spec, model = read(config.model)
    assert shape == ControlNetConfig(spec.unet, hint_channels=(4, 8))
    kernel = params["mid_block"]["resnets_0"]["conv1"]["kernel"]
    np.testing.assert_array_equal(
        kernel, model["unet"]["mid_block"]["resnets_0"]["conv1"]["kernel"]
    )


KEY = jax.random.key(1)


def test_a_whole_controlnet_has_no_change_to_go_on_from(
    config: TrainConfig, tmp_path: Path
) -> None:
    task = task_of(config)
    task.exports["diffusers"](tmp_path / "whole", task.start(jax.random.key(0)))
    with pytest.raises(ValueError, match="controlnet_rank is 3, a change of the U-Net's own"):
        task_of(replace(config, controlnet=str(tmp_path / "whole")))


def test_a_rank_is_not_negative(config: TrainConfig) -> None:
    with pytest.raises(ValueError, match="controlnet_rank is -1, it must be in "):
        replace(config, controlnet_rank=-1)
