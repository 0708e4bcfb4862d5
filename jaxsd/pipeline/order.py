"""Turns the settings of a batch of images into the arrays that the programs take. Host only."""

from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from jaxsd.canvases import Canvas
from jaxsd.config import ModelSpec
from jaxsd.pipeline.columns import (
    GUIDED,
    columns_of,
    encodes_picture,
    lengthened,
    perturbed_column,
)
from jaxsd.pipeline.draws import first_draws, fresh_noise
from jaxsd.pipeline.given_features import (
    channels_of,
    control_mode_of,
    features_of,
    pictures_of,
    sight_of,
)
from jaxsd.pipeline.texts import any_guided, banks_of, texts_of, time_ids
from jaxsd.sampling import Row, Step, rows_of
from jaxsd.sampling.latents import INITIAL_NOISE, SOURCE
from jaxsd.sampling.program import Given
from jaxsd.schedulers.guidance import Guidance, live, refreshed_rows, runs, together
from jaxsd.settings import (
    SHARED,
    Settings,
    adapters_of,
    guidance_of,
    perturbation,
    scale_of,
    tableau_of,
)
from jaxsd.settings.controls import runs_of as runs_of_controls
from jaxsd.settings.plans import HANDED
from jaxsd.text import Tokenizer


class Order(NamedTuple):
    """A drawing that can begin. The batch of its arrays may be larger than the number of images."""

    given: Given
    runs: tuple[Step, ...]  # on the host
    settings: tuple[Settings, ...]  # of the requested images, without padding
    canvases: tuple[Canvas, ...]  # of the same images
    later: "Order | None" = None  # the second pass, which begins from what this one draws

    @property
    def rows(self) -> int:
        """Network calls of the image that has the most."""
        own = sum(len(steps.row.number) for steps in self.runs)
        return own + (self.later.rows if self.later else 0)

    @property
    def takes_over(self) -> bool:
        """Whether it goes on with the latents of another model."""
        return self.settings[0].image == HANDED

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the ControlNets, one for each run, in their order."""
        first = self.settings[0]
        runs = runs_of_controls(first.control, at_once=first.union_at_once)
        return tuple(first.control[own[0]].model for own in runs)


def given_arrays(
    spec: ModelSpec,
    tokenizers: Sequence[Tokenizer],
    settings: Sequence[Settings],
    canvases: Sequence[Canvas],
) -> Given:
    """What `encode` takes, except keys and the noise that JAX draws, which are None.

    Args:
      spec: of the model.
      tokenizers: one per text encoder.
      settings: checked settings that passed `check_alike`, one per image of the batch.
      canvases: pictures, one per image of the batch.
    """
    banks = banks_of(spec, settings)
    texts = texts_of(spec, tokenizers, settings, banks)
    draws = first_draws(spec, settings)
    if settings[0].source_prompt:  # the mean of the picture's posterior, not a draw from it
        sides = (side // spec.vae.downscale for side in settings[0].drawn_size)
        shape = (len(settings), *sides, spec.vae.latent_channels)
        draws[SOURCE] = np.zeros(shape, np.float32)
    return Given(
        texts=texts,
        time_ids=time_ids(spec, settings, banks, texts.number),
        guidance=np.float32([scale_of(one) for one in settings]),
        start=np.stack([tableau_of(one, spec).start for one in settings]),
        noise=draws.pop(INITIAL_NOISE, None),
        keys=None,
        image=pictures_of(canvases) if encodes_picture(spec, settings[0]) else None,
        features=features_of(spec, settings[0], canvases)
        | channels_of(spec, settings[0], canvases, banks, texts.number)
        | sight_of(spec, settings[0], canvases, banks)
        | control_mode_of(settings[0], banks),
        draws=draws,
    )


def runs_of(spec: ModelSpec, settings: Sequence[Settings]) -> tuple[Step, ...]:
    """The rows of all images with their columns, run by run, leaves [S, B, ...]."""
    guided, away = any_guided(settings, spec), perturbation(settings[0])
    tableaus = [tableau_of(one, spec) for one in settings]
    rows = rows_of(tableaus)
    count = len(rows.number)
    guidance = [
        guidance_of(one, bank, tableau, guided=guided)
        for one, bank, tableau in zip(settings, banks_of(spec, settings), tableaus, strict=True)
    ]
    branches = together(
        [Guidance(*(lengthened(column, count) for column in own)) for own in guidance],
        last=int(away is not None),
    )
    columns = columns_of(spec, settings, tableaus) | fresh_noise(spec, settings, tableaus)
    steps = []
    for run in runs(branches, last_needs_first=away == "sag"):
        part = slice(run.first, run.end)
        own = {name: column[part] for name, column in columns.items()}
        if not guided or 0 not in run.live:
            own = {name: column for name, column in own.items() if name not in GUIDED}
        own |= live(branches, run)._asdict()
        if away is not None and run.live[-1] == branches.which.shape[-1] - 1:
            own[away] = perturbed_column(away, settings, run.end - run.first)
        if settings[0].reuse > 1:
            refresh = refreshed_rows(settings[0].reuse, run.end - run.first)
            own["reuse"] = np.tile(refresh[:, None], len(settings))
        steps.append(Step(Row(*(field[part] for field in rows)), own))
    return tuple(steps)


def numbered_from(runs: Sequence[Step], first: Sequence[int]) -> tuple[Step, ...]:
    """The runs with numbers of rows that begin at `first`, of each image, for other noise."""
    return tuple(
        step._replace(row=step.row._replace(number=step.row.number + np.int32(first)))
        for step in runs
    )


def check_alike(settings: Sequence[Settings]) -> None:
    """Checks that images can share a call.

    Raises:
      ValueError: they differ in something that all images of a call share.
    """
    for name, value in (
        ("drawn size", lambda one: one.drawn_size),
        *((name, attrgetter(name)) for name in SHARED),
        ("image", lambda one: bool(one.image)),
        ("source_prompt", lambda one: bool(one.source_prompt)),
        ("mask", lambda one: one.paints),
        ("control", lambda one: tuple(control.source for control in one.control)),
        ("ip_adapter", lambda one: tuple(prompt.model for prompt in one.ip_adapter)),
        ("ip_adapter_mask", lambda one: len(one.ip_adapter_mask)),
        ("lora", lambda one: " ".join(map(str, adapters_of([one]).lora)) or "none"),
    ):
        if len(found := {value(one) for one in settings}) > 1:
            shown = " and ".join(str(one) for one in sorted(found)[:2])
            raise ValueError(f"images of one call share their {name}, and here are {shown}")
