"""A sampler of a graph: its model, texts and levels as the arrays of `encode` and `denoise`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxsd.config.autoencoders import scaled, unscaled
from jaxsd.pipeline.batches import image_keys
from jaxsd.pipeline.columns import columns_of, perturbed_column
from jaxsd.pipeline.drawing import Programs, steps
from jaxsd.pipeline.order import Order
from jaxsd.sampling import Row, Step, first_non_finite, rows_of
from jaxsd.sampling.features.sides import AdaptiveProjection, Formula
from jaxsd.sampling.program import Given
from jaxsd.schedulers import Tableau
from jaxsd.schedulers.guidance import Guidance, live, perturbed, plus_plus, runs, together
from jaxsd.settings import Settings, perturbation
from jaxsd.workflow import arrays
from jaxsd.workflow.dividing import areas_of, opposed
from jaxsd.workflow.grounding import boxes_of, with_gligen
from jaxsd.workflow.levels import is_plus_plus, rise, table_of, timesteps_of, trained_levels
from jaxsd.workflow.networks import programs_of, with_forms, with_hints, with_hypernets
from jaxsd.workflow.noises import later_noises
from jaxsd.workflow.resizing import resized
from jaxsd.workflow.sights import check_shows, labels_of, pooled_of
from jaxsd.workflow.values import Guider, Latent, Model, Sampler
from jaxsd.workflow.workspace import Workspace


class Asked(NamedTuple):
    """What a sampler is to do.

    Attributes:
      noise: unit noise [B, h, w, c]; zeros where none is added.
      seed: of the noise that the sampler adds later.
    """

    guider: Guider
    sampler: Sampler
    sigmas: np.ndarray
    latent: Latent
    noise: np.ndarray
    seed: int


def sampled(workspace: Workspace, asked: Asked) -> tuple[Latent, Latent]:
    """The latents after the last level, with their noise if that is not 0, and without it.

    Raises:
      ValueError: conditions, levels and model that do not go together.
      FloatingPointError: the latents were not finite; names the step.
    """
    if len(asked.sigmas) < 2:
        return asked.latent, asked.latent
    model = asked.guider.model
    if asked.latent.samples.shape[-1] != model.spec.unet.out_channels:
        raise ValueError(
            f"the latents have {asked.latent.samples.shape[-1]} channels, and the model's have "
            f"{model.spec.unet.out_channels}"
        )
    table = table_of(model, asked.sampler, asked.sigmas)
    programs, order = ordered(workspace, asked, table)
    finite = []
    for shown in steps(programs, order):
        finite.append(np.asarray(shown.finite))
        workspace.progress(shown.row, shown.rows)
        workspace.shows(model.spec, shown.state.x0)
    row = first_non_finite(np.concatenate(finite))
    if row is not None:
        raise FloatingPointError(
            f"latents were not finite after step {row + 1} of {table.rows} in {model.dtype}; try "
            "dtype float32, or check the weights"
        )
    state, vae = shown.state, model.spec.vae
    made = unscaled(vae, np.asarray(state.samples[:, 0]) / table.alpha[-1])
    clean = unscaled(vae, np.asarray(state.x0))
    return replace(asked.latent, samples=made), replace(asked.latent, samples=clean)


def ordered(workspace: Workspace, asked: Asked, table: Tableau) -> tuple[Programs, Order]:
    """The programs of a sampler and the arrays that they take."""
    model, cfg, latent = asked.guider.model, asked.guider.cfg, asked.latent
    cfg_pp = is_plus_plus(asked.sampler)
    samples = np.float32(latent.samples)
    if samples.any():
        samples = np.float32(scaled(model.spec.vae, samples))
    batch, height, width, _ = samples.shape
    guider = opposed(asked.guider, height, width)
    unit = model.spec.vae.downscale
    size = (height * unit, width * unit)
    keeps = cfg_pp or perturbation(model.settings) == "sag"
    sides = arrays.guided_sides(guider, plus_plus=keeps)
    hints = arrays.hints_of(sides)
    active = arrays.active_rows(model, sides, table)
    factors, momentum = plus_plus(table) if cfg_pp else (np.ones(table.rows), None)
    weights = arrays.side_weights(sides, active, factors)
    divided = arrays.needs_areas(sides, active)
    mask = None
    if latent.mask is not None:
        mask = arrays.repeated(resized(latent.mask[..., None], height, width, "bilinear"), batch)
    _check_together(model, sides, hints, divided=divided, cfg_pp=cfg_pp)
    check_shows(model.spec, sides)
    features: dict[str, Any] = arrays.channels_of(model.spec, sides, samples, mask, asked.seed)
    if model.spec.sight is not None:
        features["sight"] = labels_of(model, sides, asked.seed, batch)
    columns = _columns(model, cfg, table, batch)
    if model.hypernets:
        strengths = np.float32([strength for *_, strength in model.hypernets])
        columns["hypernet"] = np.tile(strengths, (table.rows, batch, 1))
    if hints:
        features["controlnet"] = arrays.hint_images(hints, batch, *size)
        columns["controlnet"] = _alike(arrays.hint_weights(model, sides, hints, table), batch)
    if divided:
        features["areas"] = areas_of(sides, batch, height, width)._replace(
            formula=_formula(sides, batch, rising=rise(asked.sigmas))
        )
        columns["areas"] = _alike(weights, batch)
    grounded = any(one.grounding for one in sides.branches)
    if grounded:
        features["gligen"] = boxes_of(sides, batch, (height, width), features.get("areas"))
    if mask is not None:
        features["noise_mask"] = mask
        columns["noise_mask"] = _alike(_thresholds(model, asked.sigmas, table), batch)
    if momentum is not None and sides.negative:
        columns["momentum"] = _alike(momentum.astype(np.float32), batch)
    if table.noise.any():
        columns["fresh"] = _fresh(workspace.noise, asked.seed, table, samples.shape)
    given = Given(
        texts=arrays.texts_of(sides, batch, [pooled_of(one, asked.seed) for one in sides.branches]),
        time_ids=arrays.time_ids(model.spec, sides, batch, size),
        guidance=np.full(batch, cfg, np.float32),
        start=np.tile(table.start, (batch, 1)),
        noise=np.float32(asked.noise),
        keys=image_keys([0] * batch),
        image=None,
        features=features,
        source=samples,
    )
    guidance = arrays.guidance_of(sides, weights)
    programs = programs_of(model.spec, {"unet": model.params}, model.dtype, model.run)
    programs = with_hints(with_hypernets(programs, model), model, hints)
    if grounded:
        programs = with_gligen(programs, model, sides)
    programs = with_forms(programs, model, table)
    if divided:
        whole = [_step(rows_of([table] * batch), columns, _repeated(guidance, batch))]
        return programs, Order(given, tuple(whole), (model.settings,), ())
    parts = _runs(model, sides, guidance, table, columns, batch)
    return programs, Order(given, parts, (model.settings,), ())


def _formula(sides: arrays.Sides, batch: int, *, rising: bool) -> Formula | None:
    """The formula of the sides with its numbers for each image, if there is one.

    Momentum is forgotten where levels rise.
    """
    if sides.guiding is None:
        return None
    numbers = (sides.cfg, *sides.guiding.numbers)
    made = sides.guiding.formula(*(np.full(batch, one, np.float32) for one in numbers))
    if rising and isinstance(made, AdaptiveProjection):
        return made._replace(momentum=np.zeros(batch, np.float32))
    return made


def _check_together(
    model: Model, sides: arrays.Sides, hints: Sequence[Any], *, divided: bool, cfg_pp: bool
) -> None:
    pag, sag = model.settings.pag > 0, model.settings.sag != 0
    if sag and len(sides.negative) != 1:
        raise ValueError("SelfAttentionGuidance needs one negative text, as KSampler has it")
    three = sides.weights is not None
    cropped = any(one.is_cropped for one in sides.branches)
    freeu = model.settings.freeu != Settings().freeu
    guiding = "" if model.guiding is None else model.guiding.node
    for is_one, one, is_other, other in (
        (guiding, guiding, cfg_pp, "a sampler of CFG++"),
        (guiding, guiding, pag, "PerturbedAttentionGuidance"),
        (guiding, guiding, sag, "SelfAttentionGuidance"),
        (guiding, guiding, three, "DualCFGGuider"),
        (guiding, guiding, model.settings.guidance_rescale > 0, "RescaleCFG"),
        (model.shrink, "PatchModelAddDownscale", bool(hints), "a ControlNet"),
        (model.shrink, "PatchModelAddDownscale", freeu, "FreeU"),
        (divided, "areas, masks or ranges of texts", pag, "PerturbedAttentionGuidance"),
        (divided, "areas, masks or ranges of texts", cfg_pp, "a sampler of CFG++"),
        (cropped, "areas of texts", bool(hints), "a ControlNet"),
        (cropped, "areas of texts", bool(model.spec.unet.sees), "a model with more channels"),
        (pag, "PerturbedAttentionGuidance", len(sides.positive) > 1, "several texts"),
        (three, "DualCFGGuider", divided, "areas, masks or ranges of texts"),
        (three, "DualCFGGuider", cfg_pp, "a sampler of CFG++"),
        (three, "DualCFGGuider", pag, "PerturbedAttentionGuidance"),
        (sag, "SelfAttentionGuidance", divided, "areas, masks or ranges of texts"),
        (sag, "SelfAttentionGuidance", cfg_pp, "a sampler of CFG++"),
        (sag, "SelfAttentionGuidance", three, "DualCFGGuider"),
        (sag, "SelfAttentionGuidance", pag, "PerturbedAttentionGuidance"),
        (three, "DualCFGGuider", model.settings.guidance_rescale > 0, "RescaleCFG"),
    ):
        if is_one and is_other:
            raise ValueError(f"{one} and {other} do not go together here; leave out one of them")


def _alike(column: np.ndarray, batch: int) -> np.ndarray:
    """A column [S, ...] for a batch, [S, B, ...]."""
    return np.repeat(column[:, None], batch, axis=1)


def _columns(model: Model, cfg: float, table: Tableau, batch: int) -> dict[str, np.ndarray]:
    """The columns of features that are options of the model."""
    settings = replace(model.settings, guidance_scale=max(1.0, cfg))
    return columns_of(model.spec, [settings] * batch, [table] * batch)


def _thresholds(model: Model, sigmas: np.ndarray, table: Tableau) -> np.ndarray:
    """A grey for each row, and whether it counts, [S, 2]: that of "Differential Diffusion".

    It falls from 1 to 0 with the timestep.
    """
    if not model.differential:
        return np.zeros((table.rows, 2), np.float32)
    lowest = trained_levels(model)[1][0]
    first, last = timesteps_of(model, np.maximum([sigmas[0], sigmas[-1]], lowest))
    grey = (table.timestep - last) / (first - last or 1)
    return np.stack([grey, np.ones_like(grey)], axis=1).astype(np.float32)


def _fresh(kind: str, seed: int, table: Tableau, shape: tuple[int, int, int, int]) -> np.ndarray:
    """The noise of each row [S, B, h, w, c]; zeros for rows that add none."""
    draws = later_noises(kind, seed, shape)
    nothing = np.zeros(shape, np.float32)
    noisy = table.noise.any(axis=1)
    return np.stack([next(draws) if one else nothing for one in noisy])


def _repeated(guidance: Guidance, batch: int) -> Guidance:
    return together([guidance] * batch)


def _runs(
    model: Model,
    sides: arrays.Sides,
    guidance: Guidance,
    table: Tableau,
    columns: dict[str, np.ndarray],
    batch: int,
) -> tuple[Step, ...]:
    """The rows in runs without branches that count in none of their rows."""
    away, of = perturbation(model.settings), len(sides.negative)
    if away is not None:
        of = 0 if away == "sag" else of
        scale = getattr(model.settings, away)
        guidance = perturbed(guidance, scale, of, (0, table.rows))
    branches = together([guidance] * batch, last=int(away is not None))
    rows, parts = rows_of([table] * batch), []
    for run in runs(branches, last_needs_first=away == "sag"):
        part = slice(run.first, run.end)
        own = {name: column[part] for name, column in columns.items()}
        if "controlnet" in own:
            sources = [k if k < len(sides.branches) else of for k in run.live]
            own["controlnet"] = own["controlnet"][..., sources]
        if away is not None and run.live[-1] == branches.which.shape[-1] - 1:
            own[away] = perturbed_column(away, [model.settings] * batch, run.end - run.first)
        if sides.negative and 0 not in run.live:
            own.pop("momentum", None)
        parts.append(_step(Row(*(one[part] for one in rows)), own, live(branches, run)))
    return tuple(parts)


def _step(rows: Row, columns: dict[str, np.ndarray], guidance: Guidance) -> Step:
    return Step(rows, columns | guidance._asdict())
