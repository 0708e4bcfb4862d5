"""Task "arrays": a denoiser of series [N, T, C] or grids [N, H, W, C], from a file of numbers."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.arrays.files import read_array
from jaxsd.arrays.model import ArrayModel, write_arrays
from jaxsd.arrays.network import network_of, new_params, predicted
from jaxsd.arrays.spec import ArraySpec, moments
from jaxsd.memory import check_trained
from jaxsd.models import UNet
from jaxsd.text_files import read_json
from jaxsd.training.config import TrainConfig
from jaxsd.training.data import generator
from jaxsd.training.loop import Task
from jaxsd.training.losses import (
    Noising,
    losses_by_noise,
    noise_like,
    noising,
    stratified_timesteps,
    target,
)
from jaxsd.training.resuming import steps_done
from jaxsd.training.step import Metrics
from jaxsd.typed import built
from jaxsd.types import Array, Params

HELD_OUT_EVERY = 50
KEY = "arrays"
"""Of the spec in run.json."""


class Batch(NamedTuple):
    """Rows, standardised, and which of their numbers the network may know."""

    x0: Array  # [B, h, w, C] float32
    mask: Array  # [B, h, w, C] float32, 1 where known


def arrays_task(config: TrainConfig) -> Task:
    """Trains on a file of numbers; the probe is the loss of every fiftieth row, held out.

    Mean and deviation of the channels are those of the data that the run began with.

    Raises:
      ValueError: the file is not what `read_array` allows, the network does not fit its rows, or,
        when they are read, these are not such as the run began with.
      FileNotFoundError: no such file.
    """
    read = cache(partial(read_array, config.data))
    spec = begun_spec(config) or new_spec(config, read())
    unet, noise = network_of(spec, config.dtype, config.remat), noising_of(config, spec)
    new = jax.eval_shape(partial(new_params, unet, spec), jax.random.key(0))
    check_trained(jax.tree.leaves(new), "lower arrays.channels")
    loss = partial(arrays_loss, unet, noise)

    @cache
    def split() -> tuple[np.ndarray, np.ndarray]:
        rows = read()
        if rows.shape[1:] != spec.shape:
            raise ValueError(
                f"rows of {config.data} have the shape {list(rows.shape[1:])}, and those that "
                f"{config.output} began with {list(spec.shape)}; begin anew with another output"
            )
        seen = np.arange(len(rows)) % HELD_OUT_EVERY != 0
        return spec.standardised(rows[seen]), spec.standardised(rows[~seen][:256])

    def batches() -> Callable[[int, slice], Batch]:
        return partial(batch_of, config, spec, split()[0])

    held_out_loss = jax.jit(lambda params, batch: loss(params, {}, batch, jax.random.key(0))[0])

    def probe(params: Params) -> dict[str, float]:
        x0 = split()[1]
        held = Batch(x0, masks(config, spec, len(x0), np.random.default_rng(0)))
        return {"held_out_loss": float(held_out_loss(params, held))}

    def write(folder: Path, params: Params) -> None:
        write_arrays(folder, ArrayModel(spec, params))

    start = partial(new_params, unet, spec)
    return Task(start, {}, loss, batches, probe, {"orbax": write}, about={KEY: spec.table()})


def new_spec(config: TrainConfig, rows: np.ndarray) -> ArraySpec:
    """The model that a new run makes of rows [N, *shape].

    Raises:
      ValueError: a channel that never changes, or numbers that make no network.
    """
    if len(rows) < 2:
        raise ValueError(f"{config.data}: one row is held out, so two or more are needed")
    own = config.arrays
    if own.told and rows.shape[min(own.time_axis, rows.ndim - 1)] < 2:
        raise ValueError(
            f"{config.data} has one time along axis {own.time_axis}, so no beginning; give another "
            "arrays.time_axis, or arrays.told=0"
        )
    return ArraySpec(
        rows.shape[1:],
        own.channels,
        own.resnets,
        own.heads,
        own.time_axis,
        own.told > 0,
        config.loss.prediction or "v",
        config.loss.zero_terminal_snr,
        *moments(rows, config.data),
    )


def begun_spec(config: TrainConfig) -> ArraySpec | None:
    """The model of a run that goes on; None where nothing was saved.

    Raises:
      ValueError: run.json is damaged.
    """
    path = Path(config.output) / "run.json"
    if not path.is_file() or not steps_done(path.with_name("checkpoints")):
        return None
    try:
        return built(ArraySpec, read_json(path)[KEY])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {KEY}: {error}") from None


def noising_of(config: TrainConfig, spec: ArraySpec) -> Noising:
    """The tables of noise."""
    return noising(spec.schedule, spec.prediction, config.loss)


def batch_of(
    config: TrainConfig, spec: ArraySpec, rows: np.ndarray, number: int, share: slice
) -> Batch:
    """Those rows of a batch that `share` takes; it depends on (seed, number) alone."""
    rng = generator(config.seed, number)
    chosen = rng.integers(len(rows), size=config.batch_size)
    mask = masks(config, spec, config.batch_size, rng)
    return Batch(rows[chosen[share]], mask[share])


def masks(config: TrainConfig, spec: ArraySpec, count: int, rng: np.random.Generator) -> np.ndarray:
    """1 where a number is known, [count, h, w, C] float32.

    A share `arrays.told` of the rows is known from the beginning to a random time; of the others
    nothing is known.
    """
    ends = rng.integers(1, max(spec.times, 2), size=count)
    ends = np.where(rng.random(count) < config.arrays.told, ends, 0)
    return spec.past(ends).astype(np.float32).reshape(count, *spec.sides, spec.shape[-1])


def arrays_loss(
    unet: UNet, noise: Noising, params: Params, frozen: Params, batch: Batch, key: Array
) -> tuple[Array, Metrics]:
    """Weighted mean squared error of what is not known, over all noise levels.

    Args:
      unet: the network.
      noise: its tables.
      params: its weights.
      frozen: unused.
      batch: rows and masks.
      key: consumed by the timesteps and the noise.
    """
    del frozen
    key_t, key_noise = jax.random.split(key)
    x0, mask, steps = batch.x0, batch.mask, len(noise.alpha)
    t = stratified_timesteps(key_t, len(x0), noise.below, steps)
    alpha, sigma = (table[t][:, None, None, None] for table in (noise.alpha, noise.sigma))
    drawn = noise_like(key_noise, x0, noise.offset)
    output = predicted(unet, params, alpha * x0 + sigma * drawn, t, x0, mask)
    squared = (output - target(noise.prediction, alpha, sigma, x0, drawn)) ** 2
    error = ((1 - mask) * squared).sum((1, 2, 3)) / (1 - mask).sum((1, 2, 3))
    loss = jnp.mean(error * noise.weight[t])
    return loss, {"loss": loss} | losses_by_noise(error, t, steps)
