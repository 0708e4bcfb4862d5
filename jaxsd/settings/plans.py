"""What settings mean for the sampling loop: its table, and images that can share a call."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jaxsd.config import ModelSpec, ScheduleConfig
from jaxsd.families import motion_schedule
from jaxsd.schedulers import NoiseSchedule, Tableau, build, is_learnt, there_and_back
from jaxsd.settings.adapters import Adapters, Lora, named_embeddings, named_loras, without_tags
from jaxsd.settings.bank import (
    bank_of,
    chunk_counts,
    common_chunks,
    helpers_in,
    texts_in,
)
from jaxsd.settings.guiding import is_guided, plan_of, runs_by
from jaxsd.settings.handover import begun_with_noise, share_from, until
from jaxsd.settings.options import SHARED, Settings
from jaxsd.text.tokenizer import Tokenizer
from jaxsd.types import Prediction

ENLARGED = "enlarged"
"""Stands for the file of a picture that was drawn before."""
HANDED = "handed over"
"""Stands for that of latents, with their noise, that another model drew."""


class Bucket(NamedTuple):
    """What decides which program draws an image: images of one bucket can share a call."""

    runs: tuple[tuple[int, int, int], ...]  # first row, row after the last, branches
    height: int
    width: int
    texts: tuple[int, ...]  # of each pass
    helpers: tuple[int, ...]
    chunks: tuple[int, ...]
    is_weighted: bool
    skips: bool
    mixes: bool  # whether prompts are mixed
    shared: tuple[Any, ...]  # values of the options that a call shares
    begins: bool  # whether it begins from a picture
    inverts: bool  # whether it begins from that picture's noise
    paints: bool
    controls: tuple[str, ...]
    ip_adapters: tuple[str, ...]
    ip_masks: int
    lora: tuple[Lora, ...]


class Call(NamedTuple):
    """Images that are drawn together."""

    numbers: tuple[int, ...]  # of the images, from 0
    batch: int  # images of every call of this kind: the last may have fewer
    rows: int  # network calls of the image that has the most


def tableau_of(settings: Settings, spec: ModelSpec) -> Tableau:
    """The table of the sampler, for checked settings.

    Raises:
      ValueError: a sampler, steps or options that do not go together.
      OSError: the file of a learnt sampler can not be read.
    """
    strength = settings.strength if settings.image else 1.0
    options = tuple(sorted(settings.sampler_options))
    changed = Path(settings.sampler).stat().st_mtime_ns if is_learnt(settings.sampler) else 0
    method = (changed, settings.sampler, settings.steps, strength, options)
    if settings.motion:
        return _tableau(motion_schedule(spec), spec.prediction, *method)
    tableau = _tableau(spec.schedule, spec.prediction, *method)
    if settings.source_prompt:
        return there_and_back(tableau)
    train_steps = spec.schedule.train_steps
    handover = round(train_steps - settings.refiner_start * train_steps)
    if settings.refiner:
        return until(tableau, settings, handover)
    if settings.image == HANDED:
        method = (*method[:3], share_from(tableau, handover), options)
        return begun_with_noise(_tableau(spec.schedule, spec.prediction, *method))
    return tableau


def passes_of(settings: Settings) -> tuple[Settings, ...]:
    """The drawings that make an image, for checked settings: one or two.

    With `hires` a second one begins from the first, enlarged; with `refiner` another model goes on
    with it. LoRAs and ControlNets are of the first model.
    """
    if settings.refiner:
        prompt = without_tags(settings.prompt)[0]
        none = {
            "control": (),
            "control_mode": "balanced",
            "ip_adapter": (),
            "ip_adapter_mask": (),
            "lora": (),
            "lora_folder": (),
            "preset": "none",
            "reference": "",
            "refiner": "",
        }
        return settings, replace(settings, prompt=prompt, image=HANDED, strength=1.0, **none)
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


def skips(settings: Settings, spec: ModelSpec) -> bool:
    """Whether the context is another layer's than the one the model was trained with."""
    return settings.clip_skip != usual_layer(spec)


def usual_layer(spec: ModelSpec) -> int:
    """The text encoder's layer that a model was trained with, from the last, which is 1."""
    return -spec.text[0].hidden_layer if spec.text else 1


def bucket_of(settings: Settings, spec: ModelSpec, tokenizers: Sequence[Tokenizer]) -> Bucket:
    """The bucket for checked settings.

    Raises:
      ValueError: prompts of numbers of chunks that do not go together.
    """
    guided, kind = is_guided(settings, spec), settings.prompt_weights
    tableaus = [tableau_of(one, spec) for one in passes_of(settings)]
    banks = [bank_of(settings, tableau.rows, guided=guided) for tableau in tableaus]
    plans = [
        plan_of(settings, bank, tableau, guided=guided)
        for bank, tableau in zip(banks, tableaus, strict=True)
    ]
    height, width = settings.drawn_size
    return Bucket(
        runs=tuple(run for plan in plans for run in runs_by(plan)),
        height=height,
        width=width,
        texts=tuple(texts_in([bank]) for bank in banks),
        helpers=tuple(helpers_in([bank], kind) for bank in banks),
        chunks=tuple(
            common_chunks(chunk_counts(bank, tokenizers, kind)) for bank in banks if tokenizers
        ),
        is_weighted=any(bank.is_weighted for bank in banks),
        skips=skips(settings, spec),
        mixes=bool(settings.blend_prompt),
        shared=tuple(getattr(settings, name) for name in SHARED),
        begins=bool(settings.image),
        inverts=bool(settings.source_prompt),
        paints=settings.paints,
        controls=tuple(control.source for control in settings.control),
        ip_adapters=tuple(one.model for one in settings.ip_adapter),
        ip_masks=len(settings.ip_adapter_mask),
        lora=adapters_of([settings]).lora,
    )


def adapters_of(images: Sequence[Settings]) -> Adapters:
    """The adapters of images that share a call, those that their prompts name among them.

    Raises:
      ValueError: a prompt names a LoRA that there is not.
    """
    first = images[0]
    said = [
        (one.prompt, one.negative_prompt, one.blend_prompt, one.source_prompt) for one in images
    ]
    texts = [without_tags(text)[0] for own in said for text in own]
    texts += [region.text for region in first.region]
    return Adapters(
        first.lora + named_loras(first.prompt, first.lora_folder),
        first.embedding + named_embeddings(texts, first.embedding_folder),
    )


def beside(settings: Iterable[Settings]) -> tuple[list[str], list[str]]:
    """The ControlNets and the refiners that settings name, each once."""
    settings = list(settings)
    controls = dict.fromkeys(control.model for one in settings for control in one.control)
    return list(controls), list(dict.fromkeys(one.refiner for one in settings if one.refiner))


def calls_of(
    settings: Sequence[Settings],
    spec: ModelSpec,
    tokenizers: Sequence[Tokenizer],
    most: int,
) -> list[Call]:
    """Images of any checked settings, in calls of about the same size, of `most` images at most.

    A call has images of one bucket, but for the numbers of their rows, which are alike where that
    is possible: shorter ones wait for the longest.

    Raises:
      ValueError: frames of a clip, which are none by themselves.
    """
    if any(one.motion for one in settings):
        raise ValueError("motion makes frames of a clip, and these are pictures by themselves")
    kinds: dict[Bucket, list[int]] = {}
    for i, one in enumerate(settings):
        kinds.setdefault(bucket_of(one, spec, tokenizers)._replace(runs=()), []).append(i)
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
def _tableau(
    config: ScheduleConfig,
    prediction: Prediction,
    changed: int,
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
