"""Tasks "draft", "ddpo" and "dpo" on a tiny model: what a step does, and that runs go on."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_runs import curve, final_state, tiny_model, tiny_pictures

from jaxsd.training.config import (
    DrawingConfig,
    LoraConfig,
    PolicyConfig,
    RewardConfig,
    TrainConfig,
)
from jaxsd.training.loop import train
from jaxsd.training.policy import drawn
from jaxsd.training.tasks import check_run, task_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def config(model: Path, tmp_path: Path) -> TrainConfig:
    (tmp_path / "prompts.txt").write_text("a cat\na house\na tree\n")
    return TrainConfig(
        task="draft",
        output=str(tmp_path / "run"),
        data=str(tmp_path / "prompts.txt"),
        model=str(model),
        steps=2,
        batch_size=2,
        learning_rate=1e-2,
        warmup_steps=0,
        ema_decay=0.0,
        log_every=1,
        lora=LoraConfig(rank=2),
        drawing=DrawingConfig("ddim", rows=3, guidance_scale=2.0, last=2),
        reward=RewardConfig("brightness"),
    )


def begun(config: TrainConfig, moved: float = 0.0) -> tuple:
    """A task's loss as a function of what is trained, what is trained, and its first batch."""
    task = task_of(config)
    trained = task.start(jax.random.key(0))
    rng = np.random.default_rng(0)
    trained = {
        path: leaf + moved * rng.standard_normal(leaf.shape).astype(np.float32)
        for path, leaf in trained.items()
    }
    batch = task.batches()(0, slice(0, config.batch_size))
    key = jax.random.key(1)
    return lambda leaves: task.loss(leaves, task.frozen, batch, key)[0], trained


def rounds(config: TrainConfig) -> TrainConfig:
    """A run of task "ddpo"."""
    return replace(
        config,
        task="ddpo",
        batch_size=4,
        drawing=DrawingConfig("euler_a", rows=3, guidance_scale=1.0),
        reward=RewardConfig("compressibility"),
        policy=PolicyConfig(pictures=2, updates=2),
    )


@pytest.mark.slow
def test_what_tasks_draw_and_their_gradients_have_the_right_shapes(config: TrainConfig) -> None:
    """Traced alone; what they are is compared below."""
    loss, trained = begun(config)
    shapes = jax.eval_shape(jax.grad(loss), trained)
    assert {path: leaf.shape for path, leaf in shapes.items()} == {
        path: leaf.shape for path, leaf in trained.items()
    }
    task = task_of(rounds(config))
    _, denoiser = task.loss.args
    batch, key = task.batches()(0, slice(0, 4)), jax.random.key(0)
    assert batch.number[0] == batch.number[1] != batch.number[2] == batch.number[3]
    draw = partial(drawn, denoiser, (8, 8, 4))
    played, images = jax.eval_shape(draw, trained, task.frozen, batch, key)
    assert (played.samples.shape, images.shape) == ((4, 4, 8, 8, 4), (4, 16, 16, 3))
    found, _ = jax.eval_shape(task.loss, trained, task.frozen, played, key)
    assert found.shape == ()


@pytest.mark.release
def test_the_gradient_of_a_reward_agrees_with_finite_differences(config: TrainConfig) -> None:
    config = replace(config, drawing=replace(config.drawing, last=0))
    loss, trained = begun(config, moved=0.05)
    value, slope = jax.jit(jax.value_and_grad(loss))(trained)
    length = math.sqrt(sum(float(jnp.square(leaf).sum()) for leaf in slope.values()))
    step = 0.02
    up, down = (
        jax.jit(loss)({path: trained[path] + by * slope[path] / length for path in trained})
        for by in (step, -step)
    )
    assert float(up - down) / (2 * step) == pytest.approx(length, rel=1e-2)
    assert -1 < float(value) < 0


@pytest.mark.release
def test_draft_trains_a_lora_that_files_hold(config: TrainConfig) -> None:
    check_run(config)
    train(config, task_of(config))
    lines = curve(Path(config.output))
    assert [line["reward"] for line in lines] == [-line["loss"] for line in lines]
    factors = load_file(Path(config.output) / "model.safetensors")
    assert any(np.abs(value).max() > 1e-3 for name, value in factors.items() if "lora_B" in name)


@pytest.mark.release
def test_rounds_draw_first_and_go_on_to_the_same_bits(config: TrainConfig) -> None:
    config = replace(rounds(config), accumulate=2)
    whole = replace(config, output=f"{config.output}-whole")
    check_run(config)
    train(whole, task_of(whole))
    train(replace(config, steps=1), task_of(config))
    train(config, task_of(config))
    assert curve(Path(config.output)) == curve(Path(whole.output))
    states = [final_state(one) for one in (config, whole)]
    for a, b in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_array_equal(a, b)
    counts = [leaf for leaf in jax.tree.leaves(states[0].optimizer) if leaf.dtype == jnp.int32]
    assert {int(count) for count in counts} == {4}  # two updates a round


def batches_of(config: TrainConfig) -> object:
    """Of a run, after its checks."""
    check_run(config)
    return task_of(config).batches()


def paired(folder: Path) -> Path:
    """Pictures of "thing 0", "thing 1", ..., each preferred to the one after it."""
    tiny_pictures(folder, 4)
    table = folder / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    others = [row["file_name"] for row in rows[1:] + rows[:1]]
    lines = [
        json.dumps(row | {"rejected_file_name": other})
        for row, other in zip(rows, others, strict=True)
    ]
    table.write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.slow
def test_preferences_begin_at_the_logarithm_of_two(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, task="dpo", data=str(paired(tmp_path / "pairs")))
    check_run(config)
    loss, trained = begun(config)
    climb = jax.jit(jax.value_and_grad(loss))
    value, slope = climb(trained)
    # A LoRA that changes nothing; errors are rounded, and beta is large.
    assert float(value) == pytest.approx(math.log(2), abs=1e-3)
    moved = {path: leaf - 0.01 * np.sign(slope[path]) for path, leaf in trained.items()}
    assert float(climb(moved)[0]) < float(value)


def test_what_does_not_go_together_is_said_in_a_line(config: TrainConfig, tmp_path: Path) -> None:
    policy = replace(config, task="ddpo")
    for wrong, line in (
        (replace(config, data=str(tmp_path)), "draws its pictures itself: set data to a text file"),
        (replace(config, drawing=DrawingConfig(rows=3, last=4)), "last 4 is more than the 3 rows"),
        (policy, "sampler 'ddim' adds no noise, or its rows look at earlier ones; choose euler_a"),
        (replace(policy, drawing=DrawingConfig("euler_a", 2)), "batch_size 2 is not a multiple of"),
        (
            replace(config, task="dpo", data=str(tiny_pictures(tmp_path / "alone", 2))),
            "not every picture has a rejected_file_name",
        ),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=line):
            batches_of(wrong)
    with pytest.raises(ValueError, match=r"reward.colour is .*, it must be three numbers"):
        replace(config, reward=RewardConfig("colour", colour=(0, 300, 0)))
