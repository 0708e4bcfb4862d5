"""The loop around the step: resume, log, save, stop when asked to."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import grain
import jax
import numpy as np
import optax
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import Mesh, NamedSharding
from tqdm import tqdm

from jaxsd.checkpoint import Checkpoints
from jaxsd.parallel import (
    EVERYWHERE,
    IMAGES,
    IMAGES_SECOND,
    images_per_step,
    mesh_of,
    param_sharding,
)
from jaxsd.training.config import TrainConfig
from jaxsd.training.exports import Export, Model, place_of
from jaxsd.training.optimizer import optimizer
from jaxsd.training.record import Record
from jaxsd.training.signals import Stop
from jaxsd.training.step import Loss, Metrics, TrainState, initial_state, make_step
from jaxsd.training.subtrees import path_of
from jaxsd.types import Array, Params


class Task(NamedTuple):
    """What is trained. Everything else is the same for every task."""

    start: Callable[[Array], Params]  # key -> what is trained, before the first step
    frozen: Params  # what else the loss needs
    loss: Loss
    # reads the data -> (number of a batch, which of its rows -> those rows)
    batches: Callable[[], Callable[[int, slice], Any]]
    probe: Callable[[Params], dict[str, float]]  # measures of progress
    exports: dict[str, Export]  # format -> how to write it; the first is written at the end
    model: Callable[[Params], Model] | None = None  # what was trained -> the whole model
    step: "MakeStep" = make_step
    about: Mapping[str, Any] = MappingProxyType({})  # what run.json says beside the settings


MakeStep = Callable[..., Callable[[TrainState, Params, Any, Array], tuple[TrainState, Metrics]]]
"""What makes the step of a task: takes and gives what `make_step` does."""

OnSave = Callable[[int, Params], None]
"""(step, averaged weights), after each checkpoint."""


def train(config: TrainConfig, task: Task, on_save: OnSave | None = None) -> None:
    """Runs to `config.steps`, from the latest checkpoint of `config.output` if there is one.

    Each device takes its share of every batch. The mesh decides how weights, averages and optimiser
    state are split. On several hosts each reads its own rows of a batch, all write the checkpoints,
    and only the first writes everything else. On SIGTERM and SIGINT the current step is finished
    and saved, and the run can go on later.

    Raises:
      ValueError: the batch cannot be split equally.
      FloatingPointError: the loss or the gradient is not finite.
    """
    mesh = mesh_for(config)
    rule, batch_of = optimizer(config), task.batches()
    shared = NamedSharding(mesh, IMAGES_SECOND)
    first_host = jax.process_index() == 0
    record = Record(Path(config.output), config, task.about)
    key_start, _ = jax.random.split(jax.random.key(config.seed))
    key_steps = jax.jit(
        lambda: jax.random.split(jax.random.key(config.seed))[1],
        out_shardings=NamedSharding(mesh, EVERYWHERE),
    )()
    frozen = placed(task.frozen, shardings(task.frozen, mesh))
    with (
        closing(Checkpoints(record.folder / "checkpoints", config.keep)) as checkpoints,
        closing(record),
        Stop() as stop,
    ):
        state, places = _restored_or_new(task, rule, checkpoints, key_start, mesh)
        step = task.step(task.loss, rule, config.ema_decay, places)
        done = int(state.step)
        bar = tqdm(
            total=config.steps, initial=done, unit="step", smoothing=0.05, disable=not first_host
        )
        own = partial(batch_of, share=own_rows(mesh, config.batch_size))
        batches = _prefetched(own, config.accumulate, done, config.steps)
        for n, batch in enumerate(batches, done + 1):
            batch = assembled(batch, config.batch_size, shared)
            state, metrics = step(state, frozen, batch, key_steps)
            stopping = stop.after(n)
            saving = n % config.save_every == 0 or n == config.steps or stopping
            bar.update()
            if n == done + 1:
                jax.block_until_ready(metrics)
                started = time.monotonic()  # compiling is not counted
            if saving or n % config.log_every == 0:
                _refuse_nonsense(n, metrics, checkpoints.latest)
            if n % config.log_every == 0:
                images = (n - done - 1) * config.batch_size * config.accumulate
                rate = images / (time.monotonic() - started)
                numbers = jax.device_get(metrics) | {"images_per_second": rate}
                record.log(n, numbers)
                bar.set_postfix(
                    loss=f"{numbers['loss']:.4f}", images=f"{rate:.1f}/s", refresh=False
                )
            if saving:
                checkpoints.save(n, state)
                average = on_host(state.average)
                if first_host:
                    record.log(n, task.probe(average))
                    if on_save is not None:
                        on_save(n, average)
            if stopping:
                if first_host:
                    line = f"stopped after step {n}; the same command goes on from there"
                    tqdm.write(line, file=sys.stderr)
                break
        bar.close()
    if int(state.step) == config.steps:
        average, (form, write_model) = on_host(state.average), next(iter(task.exports.items()))
        if first_host:
            write_model(place_of(record.folder / "model", form), average)


def mesh_for(config: TrainConfig) -> Mesh:
    """The devices of a run.

    Raises:
      ValueError: a mesh that they do not fit, or a batch that cannot be split equally.
    """
    mesh = mesh_of(config.mesh)
    refuse_unequal(config.batch_size, mesh)
    return mesh


def refuse_unequal(batch_size: int, mesh: Mesh) -> None:
    """Refuses a batch that cannot be split equally over the devices of a mesh.

    Raises:
      ValueError: it cannot.
    """
    copies = images_per_step(mesh)
    if batch_size % copies:
        raise ValueError(
            f"batch_size {batch_size} can not be shared out to {copies} devices; the mesh "
            f"is {dict(mesh.shape)}"
        )


def _refuse_nonsense(step: int, metrics: dict[str, Array], saved: int | None) -> None:
    """Stops before a checkpoint is replaced by weights that are not finite.

    Raises:
      FloatingPointError: loss or gradient are not finite.
    """
    for name in ("loss", "gradient_norm"):
        if not np.isfinite(value := float(metrics[name])):
            again = "" if saved is None else f", and go on from the checkpoint of step {saved}"
            raise FloatingPointError(
                f"{name} of step {step} is {value}; lower learning_rate{again}"
            )


def averaged_weights(config: TrainConfig, task: Task) -> tuple[int, Params]:
    """The step and the averaged weights of a run's latest checkpoint, on the host.

    Raises:
      FileNotFoundError: there is none.
    """
    checkpoints = Checkpoints(Path(config.output) / "checkpoints")
    like = jax.eval_shape(
        lambda key: initial_state(task.start(key), optimizer(config)), jax.random.key(0)
    )
    state = checkpoints.restore(like)
    checkpoints.close()
    return int(state.step), jax.device_get(state.average)


def _restored_or_new(
    task: Task,
    rule: optax.GradientTransformation,
    checkpoints: Checkpoints,
    key: Array,
    mesh: Mesh,
) -> tuple[TrainState, TrainState]:
    """The state and its shardings."""
    begin = partial(initial_state, optimizer=rule)
    abstract = jax.eval_shape(lambda key: begin(task.start(key)), key)
    places = shardings(abstract, mesh)
    if checkpoints.latest is not None:
        like = jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            abstract,
            places,
        )
        return checkpoints.restore(like), places
    params = placed(task.start(key), places.params)
    return jax.jit(begin, out_shardings=places)(params), places


def shardings(tree: Any, mesh: Mesh) -> Any:
    """Shardings of the leaves of a training state.

    A leaf of the optimiser's state whose path ends with a parameter's path, and which has the
    parameter's shape, gets its sharding. Everything else is on every device.
    """
    leaves = {path_of(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    params = {
        path.removeprefix("params/"): leaf.shape
        for path, leaf in leaves.items()
        if path.startswith("params/") or not isinstance(tree, TrainState)
    }
    everywhere = NamedSharding(mesh, EVERYWHERE)

    def place(path: tuple[Any, ...], leaf: Array) -> NamedSharding:
        steps = path_of(path).split("/")
        for i in range(len(steps)):
            if params.get(name := "/".join(steps[i:])) == leaf.shape:
                return param_sharding(name, leaf.shape, mesh)
        return everywhere

    return jax.tree_util.tree_map_with_path(place, tree)


def own_rows(mesh: Mesh, batch_size: int) -> slice:
    """The rows of a batch that the devices of this host take."""
    sharding = NamedSharding(mesh, IMAGES)
    indices = sharding.addressable_devices_indices_map((batch_size,)).values()
    bounds = [index[0].indices(batch_size) for index in indices]
    return slice(min(start for start, _, _ in bounds), max(stop for _, stop, _ in bounds))


def assembled(batches: Any, batch_size: int, sharding: NamedSharding) -> Any:
    """Batches [A, own rows, ...] of every host as arrays [A, B, ...] of all hosts."""
    return jax.tree.map(
        lambda own: jax.make_array_from_process_local_data(
            sharding, own, (len(own), batch_size, *own.shape[2:])
        ),
        batches,
    )


def placed(tree: Any, places: Any) -> Any:
    """Puts arrays that every host has in full on the devices; each host fills its own devices."""

    def put(leaf: Array, place: NamedSharding) -> Array:
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, place, lambda piece: whole[piece])

    return jax.tree.map(put, tree, places)


def on_host(tree: Any) -> Any:
    """Full copies, on each host, of arrays that are split over all hosts."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    return process_allgather(tree, tiled=True)


class _Stacked:
    """Source of grain: element n is the `count` batches of step n, stacked."""

    def __init__(self, batch: Callable[..., Any], count: int, steps: int) -> None:
        self._batch, self._count, self._steps = batch, count, steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> Any:
        several = [self._batch(step * self._count + i) for i in range(self._count)]
        return jax.tree.map(lambda *x: np.stack(x), *several)


def _prefetched(batch: Callable[..., Any], count: int, first: int, steps: int) -> Iterator[Any]:
    """The batches of steps `first` to `steps`, made by threads while the device works."""
    if first == steps:  # grain has no empty slices
        return iter(())
    source = grain.MapDataset.source(_Stacked(batch, count, steps))[first:]
    return iter(source.to_iter_dataset(grain.ReadOptions(num_threads=4, prefetch_buffer_size=4)))
