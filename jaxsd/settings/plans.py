"""What settings mean for the sampling loop: table, guidance, and images that can share a call."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from jaxsd.config import ModelSpec, ScheduleConfig
from jaxsd.schedulers import NoiseSchedule, Tableau, build
from jaxsd.schedulers.guidance import Guidance, classifier_free, runs, together, unguided
from jaxsd.settings.options import SHARED, Settings
from jaxsd.types import Prediction

ENLARGED = "enlarged"
"""Stands for the file of a picture that was drawn before."""


class Bucket(NamedTuple):
    """What decides which program draws an image: images of one bucket can share a call."""

    runs: tuple[tuple[int, int, int], ...]  # first row, row after the last, branches
    height: int
    width: int
    texts: int
    shared: tuple[Any, ...]  # values of the options that a call shares
    begins: bool  # whether it begins from a picture
    paints: bool
    controls: tuple[str, ...]


class Call(NamedTuple):
    """Images that are drawn together."""

    numbers: tuple[int, ...]  # of the images, from 0
    batch: int  # images of every call of this kind: the last may have fewer
    rows: int  # network calls of the image that has the most


def tableau_of(settings: Settings, spec: ModelSpec) -> Tableau:
    """The table of the sampler, for checked settings.

    Raises:
      ValueError: a sampler, steps or options that do not go together.
    """
    strength = settings.strength if settings.image else 1.0
    options = tuple(sorted(settings.sampler_options))
    method = (settings.sampler, settings.steps, strength, options)
    return _tableau(spec.schedule, spec.prediction, *method)


def passes_of(settings: Settings) -> tuple[Settings, ...]:
    """The drawings that make an image, for checked settings: one, or with `hires` a second one.

    The second begins from the first, enlarged.
    """
    if settings.hires == 1:
        return (settings,)
    height, width = settings.final_size
    second = replace(
        settings,
        hires=1.0,
        height=height,
        width=width,
        image=ENLARGED,
        strength=settings.hires_strength,
        steps=settings.hires_steps or settings.steps,
    )
    return settings, second


def rows_of(settings: Settings, spec: ModelSpec) -> int:
    """Network calls of an image, for checked settings."""
    return sum(tableau_of(one, spec).rows for one in passes_of(settings))


def guidance_of(settings: Settings, rows: int, *, guided: bool) -> Guidance:
    """The branches of an image; `guided` says whether its batch has negative prompts."""
    if not guided:
        return unguided(rows)
    return classifier_free(scale_of(settings), rows, settings.guidance_interval)


def scale_of(settings: Settings) -> float:
    """The guidance scale; 0 to 1 is no guidance, as in diffusers."""
    return max(1.0, settings.guidance_scale)


def is_guided(settings: Settings, spec: ModelSpec) -> bool:
    """Whether a negative prompt has an effect. Distilled models get the scale as input instead."""
    return spec.unet.guidance_dim is None and scale_of(settings) != 1


def bucket_of(settings: Settings, spec: ModelSpec) -> Bucket:
    """The bucket for checked settings."""
    guided = is_guided(settings, spec)
    guidance = (scale_of(settings), settings.guidance_interval) if guided else None
    height, width = settings.drawn_size
    rows = [tableau_of(one, spec).rows for one in passes_of(settings)]
    return Bucket(
        runs=tuple(run for count in rows for run in _runs(count, guidance)),
        height=height,
        width=width,
        texts=1 + guided,
        shared=tuple(getattr(settings, name) for name in SHARED),
        begins=bool(settings.image),
        paints=settings.paints,
        controls=tuple(control.model for control in settings.control),
    )


def calls_of(settings: Sequence[Settings], spec: ModelSpec, most: int) -> list[Call]:
    """Images of any checked settings, in calls of about the same size, of `most` images at most.

    A call has images of one bucket, but for the numbers of their rows, which are alike where that
    is possible: shorter ones wait for the longest.
    """
    kinds: dict[Bucket, list[int]] = {}
    for i, one in enumerate(settings):
        kinds.setdefault(bucket_of(one, spec)._replace(runs=()), []).append(i)
    calls = []
    for numbers in kinds.values():
        rows = {i: rows_of(settings[i], spec) for i in numbers}
        numbers.sort(key=rows.get)
        batch = -(-len(numbers) // -(-len(numbers) // most))
        for first in range(0, len(numbers), batch):
            part = tuple(numbers[first : first + batch])
            calls.append(Call(part, batch, max(rows[i] for i in part)))
    return calls


_OWN = ("name", "noise_schedule", "steps", "prediction", "strength")
"""Parameters of `build` that are not options."""


@lru_cache(maxsize=1024)
def _runs(
    rows: int, guidance: tuple[float, tuple[float, ...]] | None
) -> tuple[tuple[int, int, int], ...]:
    """First row, row after the last, and branches of each run; guidance is scale and interval."""
    scale, interval = guidance or (1.0, (0.0, 1.0))
    branches = classifier_free(scale, rows, interval) if guidance else unguided(rows)
    return tuple((run.first, run.end, len(run.live)) for run in runs(together([branches])))


@lru_cache(maxsize=1024)
def _tableau(
    config: ScheduleConfig,
    prediction: Prediction,
    sampler: str,
    steps: int,
    strength: float,
    options: tuple[str, ...],
) -> Tableau:
    given = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals or name in _OWN:
            raise ValueError(
                f"sampler_options {text!r} is not NAME=VALUE of an option of the sampler, such as "
                "eta=0.5"
            )
        given[name] = _option_of_text(value)
    schedule = NoiseSchedule.from_config(config)
    try:
        return build(sampler, schedule, steps, prediction, strength=strength, **given)
    except TypeError:
        raise ValueError(
            f"sampler_options {' '.join(options)}: a text stands where {sampler} takes a number, "
            "or the reverse"
        ) from None


def _option_of_text(text: str) -> Any:
    """`0.5`, `true`, `trailing`, or numbers with commas between."""
    if "," in text:
        return [_option_of_text(part) for part in text.split(",") if part]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)
