"""The loop around the step, on a loss that takes no time: what stops a run, how it goes on."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_folder import save
from tiny_runs import curve

from jaxsd.checkpoint import Checkpoints
from jaxsd.training import loop
from jaxsd.training.config import EmbeddingConfig, TrainConfig
from jaxsd.training.data import generator
from jaxsd.training.folder import read_folder
from jaxsd.training.loop import Task, initial_state, optimizer, train
from jaxsd.training.packed import write_packed
from jaxsd.training.step import TrainState
from jaxsd.training.tasks import check_run
from jaxsd.types import Array, Params

KERNEL = "unet/time_embedding/linear_1/kernel"  # a path that the rules of sharding know


def task_with(loss: Callable[..., tuple[Array, dict[str, Array]]]) -> Task:
    def start(key: Array) -> Params:
        return {KERNEL: jax.random.normal(key, (3, 2))}

    def batch(number: int, share: slice) -> np.ndarray:
        return generator(0, number).normal(size=(4, 3)).astype(np.float32)[share]

    def write(place: Path, params: Params) -> None:
        np.savez(place, **params)

    return Task(start, {}, loss, lambda: batch, lambda params: {"probe": 1.0}, {"orbax": write})


def noisy_error(params: Params, frozen: Params, batch: Array, key: Array) -> tuple[Array, dict]:
    noise = jax.random.normal(key, (len(batch), 2))
    loss = jnp.mean((batch @ params[KERNEL] - noise) ** 2)
    return loss, {"loss": loss}


TASK = task_with(noisy_error)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        task="toy",
        output=str(tmp_path / "run"),
        data="",
        steps=6,
        batch_size=4,
        learning_rate=1e-2,
        warmup_steps=0,
        accumulate=2,
        save_every=2,
        log_every=1,
    )


def final_state(config: TrainConfig) -> TrainState:
    like = jax.eval_shape(
        lambda key: initial_state(TASK.start(key), optimizer(config)), jax.random.key(0)
    )
    saved = Checkpoints(Path(config.output) / "checkpoints")
    state = saved.restore(like)
    saved.close()
    return state


def assert_same_bits(got: TrainConfig, want: TrainConfig) -> None:
    assert curve(Path(got.output)) == curve(Path(want.output))
    for a, b in zip(*map(jax.tree.leaves, map(final_state, (got, want))), strict=True):
        np.testing.assert_array_equal(a, b)


class KilledError(Exception):
    """Stands for a run's sudden end."""


def test_resuming_is_bitwise(config: TrainConfig) -> None:
    def killed(step: int, params: Params) -> None:
        if step == 4:
            raise KilledError

    whole = replace(config, output=f"{config.output}-whole")
    train(whole, TASK)
    with pytest.raises(KilledError):
        train(config, TASK, on_save=killed)
    assert int(final_state(config).step) == 4
    train(config, TASK)
    assert len({line["loss"] for line in curve(Path(whole.output)) if "loss" in line}) == 6
    assert_same_bits(config, whole)


def test_sigterm_saves_and_the_run_goes_on(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replace(config, output=f"{config.output}-whole", save_every=6)
    train(whole, TASK)
    parts = replace(config, save_every=6)
    stacked = loop._Stacked.__getitem__

    def terminated(self: loop._Stacked, step: int) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return stacked(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Stacked, "__getitem__", terminated)
        train(parts, TASK)
    assert int(final_state(parts).step) == 1
    assert not (Path(parts.output) / "model.npz").exists()
    train(parts, TASK)
    assert (Path(parts.output) / "model.npz").is_file()
    for a, b in zip(*map(jax.tree.leaves, map(final_state, (parts, whole))), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("keep", [1, 3])
def test_the_latest_checkpoints_are_kept(config: TrainConfig, keep: int) -> None:
    train(replace(config, keep=keep, save_every=1), TASK)
    steps = {int(path.name) for path in (Path(config.output) / "checkpoints").iterdir()}
    assert steps == set(range(7 - keep, 7))


def test_a_loss_that_is_no_number_ends_the_run_and_spares_the_checkpoint(
    config: TrainConfig,
) -> None:
    def growing(params: Params, frozen: Params, batch: Array, key: Array) -> tuple[Array, dict]:
        loss, metrics = noisy_error(params, frozen, batch, key)
        return loss * jnp.where(batch[0, 0] == last, jnp.nan, 1.0), metrics

    last = generator(0, 2 * 3).normal(size=(4, 3)).astype(np.float32)[0, 0]  # of the fourth step
    message = "gradient_norm of step 4 is nan; lower learning_rate, and go on from the .* step 2"
    with pytest.raises(FloatingPointError, match=message):
        train(replace(config, log_every=100), task_with(growing))
    assert int(final_state(config).step) == 2


def test_devices_and_captions_are_checked_without_the_model(tmp_path: Path) -> None:
    save(tmp_path, "0.png", 8, 8)
    run = TrainConfig("lora", "o", str(tmp_path), 9, 2, 0.1, model="nowhere", warmup_steps=0)
    check_run(replace(run, caption="a"))
    check_run(replace(run, task="tiny-vae"))
    with pytest.raises(ValueError, match="0 of 1 pictures in"):
        check_run(run)
    with pytest.raises(ValueError, match="0 of 1 pictures in"):
        check_run(replace(run, task="unet"))
    with pytest.raises(ValueError, match="data is empty"):
        check_run(replace(run, data=""))
    with pytest.raises(FileNotFoundError, match="no data folder nowhere"):
        check_run(replace(run, task="vae", data="nowhere"))
    word = EmbeddingConfig("<toy>", "toy")
    with pytest.raises(ValueError, match=r"no caption in .* has the token '<toy>'"):
        check_run(replace(run, task="embedding", embedding=word, caption="a"))
    with pytest.raises(ValueError, match=r"mesh \[7, 1, 1\] does not fit"):
        check_run(replace(run, mesh=(7, 1, 1)))
    records = tmp_path / "records"
    write_packed(read_folder(tmp_path), records)
    with pytest.raises(ValueError, match=f"0 of 1 pictures in {records}"):
        check_run(replace(run, data=str(records)))


def test_a_batch_that_can_not_be_shared_out_is_one_line(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "images_per_step", lambda mesh: 3)
    with pytest.raises(ValueError, match="batch_size 4 can not be shared out to 3 devices"):
        train(config, TASK)
    assert not Path(config.output).exists()
