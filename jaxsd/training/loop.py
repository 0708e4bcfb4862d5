"""The loop around the step: resume, log, save, write."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
from tqdm import tqdm

from jaxsd.checkpoint import Checkpoints
from jaxsd.training.config import TrainConfig
from jaxsd.training.step import Loss, TrainState, initial_state, make_step, muon
from jaxsd.types import Array, Params


class Task(NamedTuple):
    """What is trained. Everything else is the same for every task."""

    initialise: Callable[[Array], Params]  # key -> parameters
    loss: Loss
    batch: Callable[[int], Any]  # step -> batch, a function of the step alone
    probe: Callable[[Params], dict[str, float]]  # numbers that tell how far it is
    write: Callable[[Path, int, Params], None]  # folder, step, averaged weights -> a model


def train(config: TrainConfig, task: Task) -> None:
    """Runs to `config.steps`, from the latest checkpoint of `config.output` if there is one.

    Writes checkpoints/, metrics.jsonl and model/ in the output folder.
    """
    output = Path(config.output)
    optimizer = muon(config)
    key_init, key_steps = jax.random.split(jax.random.key(config.seed))
    state = initial_state(task.initialise(key_init), optimizer)
    checkpoints = Checkpoints(output / "checkpoints")
    if checkpoints.latest is not None:
        state = checkpoints.restore(state)
    step = make_step(task.loss, optimizer, config.ema_decay)

    done = int(state.step)
    bar = tqdm(total=config.steps, initial=done, unit="step", mininterval=10, smoothing=0.05)
    start, first = time.monotonic(), done
    for n in range(done, config.steps):
        state, metrics = step(state, task.batch(n), key_steps)
        bar.update()
        if (n + 1) % config.log_every == 0:
            rate = (n + 1 - first) * config.batch_size / (time.monotonic() - start)
            _log(output, n + 1, jax.device_get(metrics) | {"samples_per_second": rate})
            bar.set_postfix(loss=f"{float(metrics['loss']):.4f}", refresh=False)
        if (n + 1) % config.save_every == 0 or n + 1 == config.steps:
            _save(output, checkpoints, state, task)
    bar.close()
    checkpoints.close()


def _save(output: Path, checkpoints: Checkpoints, state: TrainState, task: Task) -> None:
    checkpoints.save(int(state.step), state)
    _log(output, int(state.step), task.probe(state.average))
    task.write(output / "model", int(state.step), jax.device_get(state.average))


def _log(output: Path, step: int, metrics: dict[str, Any]) -> None:
    line = {"step": step} | {name: round(float(value), 5) for name, value in metrics.items()}
    with (output / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
