"""Batches of prompts, for tasks whose pictures the model draws itself."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.canvases import Canvas
from jaxsd.config import ModelSpec
from jaxsd.pipeline.order import check_alike, given_arrays, runs_of
from jaxsd.sampling import Step
from jaxsd.sampling.latents import INITIAL_NOISE, noise_of
from jaxsd.sampling.program import Given
from jaxsd.settings import Settings, checked, settings_from
from jaxsd.text import Tokenizer
from jaxsd.text_files import lines_in
from jaxsd.training.config import TrainConfig
from jaxsd.training.data import generator
from jaxsd.types import Array


class Asked(NamedTuple):
    """What is drawn, but for the noise."""

    number: Array  # [B] int32, of the prompt
    given: Given  # leaves [B, ...]; without noise and keys
    steps: Step  # leaves [B, S, ...]


def prompts_in(config: TrainConfig) -> list[str]:
    """The prompts of a run: the lines of `data`.

    Raises:
      ValueError: there are none.
      OSError: the file can not be read.
    """
    if not Path(config.data).is_file():
        raise FileNotFoundError(
            f"no file {config.data}; task {config.task!r} draws its pictures itself: set data to a "
            "text file with a prompt in each line"
        )
    return lines_of(config.data)


def lines_of(path: str) -> list[str]:
    """The prompts in a file, one in each line.

    Raises:
      ValueError: there are none.
      OSError: the file can not be read.
    """
    prompts = [line for _, line in lines_in(path)]
    if not prompts:
        raise ValueError(f"{path} has no prompt; write one in each line")
    return prompts


def settings_of(config: TrainConfig, spec: ModelSpec, prompts: Sequence[str]) -> list[Settings]:
    """How the pictures of a run are drawn, by `config.drawing`.

    Raises:
      ValueError: options that do not go together, or prompts that no call can share.
    """
    own = config.drawing
    values = {"sampler": own.sampler, "steps": own.rows}
    if own.guidance_scale:
        values["guidance_scale"] = own.guidance_scale
    if config.resolution:
        values |= {"width": config.resolution, "height": config.resolution}
    if own.eta:
        values["sampler_options"] = (("eta", own.eta),)
    settings = [checked(settings_from(values | {"prompt": prompt}), spec) for prompt in prompts]
    check_alike(settings)
    return settings


def prompted_batches(
    config: TrainConfig, spec: ModelSpec, tokenizers: Sequence[Tokenizer], each: int = 1
) -> Callable[[int, slice], Asked]:
    """(number of a batch, which of its rows) -> those rows.

    Every prompt comes once in an epoch, in an order of chance.

    Args:
      config: of the run.
      spec: of the model.
      tokenizers: one per text encoder.
      each: pictures of a prompt in a batch, beside each other.

    Raises:
      ValueError: pictures that the batch does not divide into, or see `settings_of`.
    """
    if config.batch_size % each:
        raise ValueError(
            f"batch_size {config.batch_size} is not a multiple of policy.pictures {each}, the "
            "pictures of a prompt"
        )
    settings = settings_of(config, spec, prompts_in(config))
    given = given_arrays(spec, tokenizers, settings, [Canvas(None, None, ())] * len(settings))
    steps = steps_of(spec, settings)
    a_batch = config.batch_size // each

    @lru_cache(maxsize=2)
    def epoch(number: int) -> np.ndarray:
        return generator(config.seed, number).permutation(len(settings))

    def batch(number: int, share: slice) -> Asked:
        places = number * a_batch + np.arange(a_batch)
        chosen = [epoch(int(place) // len(settings))[place % len(settings)] for place in places]
        rows = np.repeat(chosen, each)[share]
        parts = jax.tree.map(lambda leaf: np.asarray(leaf)[rows], (given, steps))
        return Asked(rows.astype(np.int32), *parts)

    return batch


def steps_of(spec: ModelSpec, settings: Sequence[Settings]) -> Step:
    """The rows of all pictures, leaves [B, S, ...].

    Raises:
      ValueError: guidance that begins or ends between two rows.
    """
    runs = runs_of(spec, settings)
    if len(runs) > 1:
        raise ValueError("rewards need the same guidance in all rows; leave AND and edits out")
    return jax.tree.map(lambda leaf: np.swapaxes(np.asarray(leaf), 0, 1), runs[0])


def begun(asked: Asked, shape: tuple[int, ...], key: Array) -> tuple[Given, Step]:
    """The request with noise of latents of a shape (h, w, c), and rows [S, B, ...].

    Args:
      key: consumed.
    """
    keys = jax.random.split(key, len(asked.number))
    given = asked.given._replace(keys=keys, noise=noise_of(keys, INITIAL_NOISE, shape))
    return given, jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), asked.steps)


def latent_shape(config: TrainConfig, spec: ModelSpec) -> tuple[int, int, int]:
    """Of the pictures of a run."""
    side = (config.resolution or spec.default_size) // spec.vae.downscale
    return side, side, spec.vae.latent_channels
