"""The loop around the step: resume, log, save, write."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
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

    Each device takes its share of every batch; the state is the same on all of them. Writes
    checkpoints/, metrics.jsonl and model/ in the output folder.

    Raises:
      ValueError: the batch cannot be shared out equally.
    """
    if config.batch_size % jax.device_count():
        raise ValueError(
            f"batch_size {config.batch_size} is not a multiple of the {jax.device_count()} devices"
        )
    mesh = Mesh(jax.devices(), ("data",))
    everywhere, shared = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
    output = Path(config.output)
    optimizer = muon(config)
    key_init, key_steps = jax.random.split(jax.random.key(config.seed))
    key_steps = jax.device_put(key_steps, everywhere)
    checkpoints = Checkpoints(output / "checkpoints")
    begin = jax.jit(
        lambda key: initial_state(task.initialise(key), optimizer),
        out_shardings=everywhere,
        compiler_options={"xla_backend_optimization_level": 0},  # runs once
    )
    if checkpoints.latest is None:
        state = begin(key_init)
    else:
        state = checkpoints.restore(begin.eval_shape(key_init))
    step = make_step(task.loss, optimizer, config.ema_decay)

    done = int(state.step)
    bar = tqdm(total=config.steps, initial=done, unit="step", mininterval=10, smoothing=0.05)
    start, first = time.monotonic(), done
    for n in range(done, config.steps):
        state, metrics = step(state, jax.device_put(task.batch(n), shared), key_steps)
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
    average = jax.device_get(state.average)
    _log(output, int(state.step), task.probe(average))
    task.write(output / "model", int(state.step), average)


def _log(output: Path, step: int, metrics: dict[str, Any]) -> None:
    line = {"step": step} | {name: round(float(value), 5) for name, value in metrics.items()}
    with (output / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
