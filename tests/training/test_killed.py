"""Runs that are killed at a random moment go on to the same bits."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from forked import Forked
from tiny_runs import curve, final_state, run_toml, tiny_model, tiny_pictures

from jaxsd.training.config import TrainConfig
from jaxsd.training.loop import train
from jaxsd.training.tasks import task_of

KILLS = 2
PATIENCE = 1800.0
"""Seconds for a run, where others use the processor too."""


@pytest.mark.release
def test_kill_9_changes_no_bit(tmp_path: Path, program: Callable[..., Forked]) -> None:
    config = TrainConfig(
        task="finetune",
        output=str(tmp_path / "parts"),
        data=str(tiny_pictures(tmp_path / "data", 5)),
        model=str(tiny_model(tmp_path / "model")),
        steps=40,
        batch_size=2,
        learning_rate=1e-3,
        warmup_steps=0,
        trainable=(r"unet/conv_in/.*", r"unet/.*attn2.*", r"text/0/.*fc1/.*"),
        save_every=4,
        log_every=1,
    )
    whole = replace(config, output=str(tmp_path / "whole"))
    train(whole, task_of(whole))
    command = ("train", run_toml(config, tmp_path / "run.toml"))
    compiled = {"JAX_COMPILATION_CACHE_DIR": os.environ["XDG_CACHE_HOME"]}
    rng, said = np.random.default_rng(time.time_ns()), tmp_path / "said"
    for _ in range(KILLS):
        process = program(*command, errors=said, **compiled)
        kill_at_random(process, Path(config.output) / "metrics.jsonl", rng, said)
        assert process.wait() == -signal.SIGKILL, said.read_text()
    process = program(*command, errors=said, **compiled)
    assert process.wait(PATIENCE) == 0, said.read_text()

    want = curve(tmp_path / "whole")
    assert [line["step"] for line in want] == list(range(1, 41))
    assert len({line["loss"] for line in want}) == 40
    assert curve(tmp_path / "parts") == want
    states = [jax.tree.leaves(final_state(run)) for run in (config, whole)]
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a, b)


def kill_at_random(process: Forked, metrics: Path, rng: np.random.Generator, said: Path) -> None:
    """Waits for 1 to 11 more lines of metrics, and then for up to a tenth of a second."""

    def lines() -> int:
        return metrics.read_text().count("\n") if metrics.is_file() else 0

    wanted, started = lines() + int(rng.integers(1, 12)), time.monotonic()
    while lines() < wanted:
        assert process.poll() is None, said.read_text()
        assert time.monotonic() - started < PATIENCE, said.read_text()
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.1))
    process.kill()
