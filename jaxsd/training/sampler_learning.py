"""Learns samplers of few steps for a model, from pictures that it draws in many."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.pipeline import Pipeline
from jaxsd.sampling import Step, begin
from jaxsd.sampling.call import Conditions, Networks
from jaxsd.sampling.gradients import differentiable_rows
from jaxsd.sampling.own import rows_like
from jaxsd.sampling.program import encode
from jaxsd.schedulers import Learnt, NoiseSchedule, Tableau, as_learnt
from jaxsd.settings import Settings, checked, tableau_of
from jaxsd.training.learnt_tables import learn
from jaxsd.types import Array, Params

REFERENCE = ("dpm++_2m", 100)
"""Sampler and steps of the pictures that others should end at."""


BEGINNINGS = ("dpm++_2m", "dpm++_2m_gits", "dpm++_2m_align_your_steps", "dpm++_2m_karras")
"""Samplers to begin with, where none is named: which is nearest differs by model and rows."""
TRIED = 8
"""Pictures that they are compared on."""


class Learning(NamedTuple):
    """How samplers are learnt."""

    updates: int = 30
    batch: int = 4  # pictures of an update
    order: int = 3  # estimates that a row reads
    rate: float = 0.4  # of Adam, over the square of the rows: more rows move a little each


class Drawn(NamedTuple):
    """What pictures have beside their table."""

    params: Params
    conditions: Conditions
    noise: Array  # [B, h, w, c] float32, unit variance
    keys: Array  # [B]
    columns: dict[str, Array]  # of the rows, [S, B, ...]


def beginning(settings: Settings, spec: ModelSpec) -> Learnt:
    """What is learnt from, for checked settings.

    Raises:
      ValueError: a sampler of another kind, or options that a learnt one does not know.
    """
    if settings.image or settings.hires > 1 or settings.refiner:
        raise ValueError("a sampler is learnt from prompts alone; leave image, hires, refiner out")
    return as_learnt(tableau_of(settings, spec))


def references(
    pipe: Pipeline, settings: Sequence[Settings], batch: int, done: Callable[[int, int], None]
) -> np.ndarray:
    """Latents [N, h, w, c] of pictures, by the sampler and the steps of `REFERENCE`.

    Args:
      pipe: the model.
      settings: checked, one per picture.
      batch: pictures of a call.
      done: called after each row with (rows done, rows in all).
    """
    sampler, steps = REFERENCE
    many = [replace(one, sampler=sampler, steps=steps, sampler_options=()) for one in settings]
    return latents_of(pipe, many, batch, done)


def latents_of(
    pipe: Pipeline, settings: Sequence[Settings], batch: int, done: Callable[[int, int], None]
) -> np.ndarray:
    """Latents [N, h, w, c] of pictures; see `references`."""
    found, before = [], 0
    for first in range(0, len(settings), batch):
        order = pipe.order(list(settings[first : first + batch]), batch=batch)
        drawing = pipe.drawn(order, lambda row, _, n=before: done(n + row, 0))
        found.append(np.asarray(drawing.latents))
        before += order.rows
    return np.concatenate(found)


def nearest(
    pipe: Pipeline,
    settings: Sequence[Settings],
    wanted: np.ndarray,
    samplers: Sequence[str],
    batch: int,
    done: Callable[[int, int], None],
) -> list[Settings]:
    """The settings with the one of some samplers that ends nearest, for the first `TRIED` pictures.

    Nothing is drawn where there is one sampler.

    Args:
      pipe: the model.
      settings: checked, one per picture.
      wanted: latents [N, h, w, c] of the same pictures, see `references`.
      samplers: names.
      batch: pictures of a call.
      done: called after each row with (rows done, 0).
    """
    of_each = [
        [checked(replace(one, sampler=name), pipe.spec) for one in settings] for name in samplers
    ]
    if len(samplers) == 1:
        return of_each[0]
    errors = []
    for own in of_each:
        before = len(errors) * trial_calls(settings[0].steps, len(settings), batch)
        latents = latents_of(pipe, own[:TRIED], batch, lambda n, _, b=before: done(b + n, 0))
        errors.append(np.square(latents - wanted[:TRIED]).mean())
    return of_each[int(np.argmin(errors))]


def trial_calls(rows: int, pictures: int, batch: int) -> int:
    """Calls of a batch with which `nearest` tries one sampler of some rows."""
    return -(-min(TRIED, pictures) // batch) * rows


def learn_sampler(
    pipe: Pipeline,
    settings: Sequence[Settings],
    wanted: np.ndarray,
    how: Learning,
    progress: Callable[[int, float], None],
) -> Learnt:
    """A sampler for the steps of the settings.

    Args:
      pipe: the model.
      settings: checked, one per picture, with the sampler to begin with.
      wanted: latents [N, h, w, c] of the same pictures, see `references`.
      how: see `Learning`.
      progress: see `learn`.

    Raises:
      FloatingPointError: an error is not finite.
    """
    begun = beginning(settings[0], pipe.spec)
    networks, parts = drawn_parts(pipe, settings)

    def draw(table: Tableau, own: Drawn) -> Array:
        """A call for each row: samplers of any number of rows share the compiled derivative."""
        count = len(own.noise)
        state = begin(jnp.broadcast_to(table.start, (count, 2)), own.noise)
        steps = Step(rows_like(table, count), own.columns)
        for first in range(table.rows):
            part = jax.tree.map(lambda field, i=first: field[i : i + 1], steps)
            told = (own.params, part, own.conditions, state, own.keys)
            state, _ = differentiable_rows(networks, *told)
        return state.samples[:, 0]

    def batches() -> Iterator[tuple[Drawn, Array]]:
        places = np.random.default_rng(0)
        for _ in range(how.updates):
            chosen = places.choice(len(settings), how.batch, replace=False)
            yield chosen_parts(parts, chosen), wanted[chosen]

    schedule, prediction = NoiseSchedule.from_config(pipe.spec.schedule), pipe.spec.prediction
    return learn(
        begun,
        draw,
        batches(),
        schedule,
        prediction,
        progress=progress,
        updates=how.updates,
        order=how.order,
        rate=how.rate / begun.steps**2,
    )


def drawn_parts(pipe: Pipeline, settings: Sequence[Settings]) -> tuple[Networks, Drawn]:
    """The networks, and what all pictures have beside their tables.

    Raises:
      ValueError: guidance that begins or ends between two rows.
    """
    order = pipe.order(list(settings), batch=len(settings))
    if len(order.runs) > 1:
        raise ValueError("a sampler is learnt with the same guidance in all rows")
    programs = pipe.programs_of(order)
    conditions, _ = programs(encode, given=order.given)
    given, columns, programs = order.given, order.runs[0].columns, programs.of_loop
    return programs.networks, Drawn(programs.params, conditions, given.noise, given.keys, columns)


def chosen_parts(parts: Drawn, chosen: np.ndarray) -> Drawn:
    """Those of some pictures."""
    params, *images, columns = parts
    return Drawn(
        params,
        *jax.tree.map(lambda leaf: leaf[chosen], tuple(images)),
        jax.tree.map(lambda leaf: leaf[:, chosen], columns),
    )
