"""Runs that are killed at a random moment go on to the same bits.

`JAXSD_KILLS=10` kills as often, in a run of 20 steps for each kill.
"""

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

KILLS = int(os.environ.get("JAXSD_KILLS", "2"))
STEPS = 20 * KILLS
PATIENCE = 1800.0
"""Seconds for a run, where others use the processor too."""


STOPS = 3
"""How often a run is told to end."""


def config_of(tmp_path: Path, steps: int) -> TrainConfig:
    """A run that goes on from its last checkpoint."""
    return TrainConfig(
        task="finetune",
        output=str(tmp_path / "parts"),
        data=str(tiny_pictures(tmp_path / "data", 5)),
        model=str(tiny_model(tmp_path / "model")),
        steps=steps,
        batch_size=2,
        learning_rate=1e-3,
        warmup_steps=0,
        trainable=(r"unet/conv_in/.*", r"unet/.*attn2.*", r"text/0/.*fc1/.*"),
        save_every=4,
        log_every=1,
    )


@pytest.mark.release
def test_kill_9_changes_no_bit(tmp_path: Path, program: Callable[..., Forked]) -> None:
    config = config_of(tmp_path, STEPS)
    whole = replace(config, output=str(tmp_path / "whole"))
    train(whole, task_of(whole))
    command = ("train", run_toml(config, tmp_path / "run.toml"))
    compiled = {"JAX_COMPILATION_CACHE_DIR": os.environ["XDG_CACHE_HOME"]}
    rng, said = np.random.default_rng(time.time_ns()), tmp_path / "said"
    for _ in range(KILLS):
        process = program(*command, errors=said, **compiled)
        wait_at_random(process, Path(config.output) / "metrics.jsonl", rng, said)
        process.kill()
        assert process.wait() == -signal.SIGKILL, said.read_text()
    process = program(*command, errors=said, **compiled)
    assert process.wait(PATIENCE) == 0, said.read_text()

    want = curve(tmp_path / "whole")
    assert [line["step"] for line in want] == list(range(1, STEPS + 1))
    assert len({line["loss"] for line in want}) == STEPS
    assert curve(tmp_path / "parts") == want
    states = [jax.tree.leaves(final_state(run)) for run in (config, whole)]
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not [path for path in Path(config.output).rglob("*") if "tmp" in path.name]


@pytest.mark.release
def test_sigterm_loses_a_step_at_most(tmp_path: Path, program: Callable[..., Forked]) -> None:
    config = replace(config_of(tmp_path, 20 * STOPS), save_every=1000)
    command = ("train", run_toml(config, tmp_path / "run.toml"))
    compiled = {"JAX_COMPILATION_CACHE_DIR": os.environ["XDG_CACHE_HOME"]}
    rng, said = np.random.default_rng(time.time_ns()), tmp_path / "said"
    metrics = Path(config.output) / "metrics.jsonl"
    lost: list[float] = []
    for _ in range(STOPS):
        process = program(*command, errors=said, **compiled)
        wait_at_random(process, metrics, rng, said)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, said.read_text()
        saved = max(int(one.name) for one in (metrics.parent / "checkpoints").iterdir())
        lost.append(curve(metrics.parent)[-1]["step"] - saved)
    assert max(lost) <= 1
    assert program(*command, errors=said, **compiled).wait(PATIENCE) == 0, said.read_text()
    assert [line["step"] for line in curve(metrics.parent)] == list(range(1, config.steps + 1))
    print(f"\n{STOPS} signals, steps lost: {lost}")


def wait_at_random(process: Forked, metrics: Path, rng: np.random.Generator, said: Path) -> None:
    """Waits for 1 to 11 more lines of metrics, and then for up to a tenth of a second."""

    def lines() -> int:
        return metrics.read_text().count("\n") if metrics.is_file() else 0

    wanted, started = lines() + int(rng.integers(1, 12)), time.monotonic()
    while lines() < wanted:
        assert process.poll() is None, said.read_text()
        assert time.monotonic() - started < PATIENCE, said.read_text()
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.1))
