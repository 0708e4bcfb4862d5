"""What settings mean for guidance: branches, their weights, and what does not go together."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.schedulers import Tableau
from jaxsd.schedulers.guidance import (
    PERTURBATIONS,
    Guidance,
    composed,
    guided_rows,
    perturbed,
    plus_plus,
    preceded,
    runs,
    shown,
    together,
    unguided,
)
from jaxsd.settings.adapters import without_tags
from jaxsd.settings.bank import Bank, composes, is_shown
from jaxsd.settings.inverting import rows_there
from jaxsd.settings.options import NOT_WITH, OPTIONS, Settings

METHODS = ("cfg_pp", "apg", "cfg_zero")
"""Options that take the place of plain guidance."""
WHOLE = (0, 0, 1, 1)
"""The box of a region that is a mask."""
MOST_STRENGTH = 1000
"""Of a region."""
USUAL_PLUS_PLUS = 0.6
"""The guidance scale of CFG++ where none is given; the paper's own choice for SD."""


class Plan(NamedTuple):
    """Guidance of an image without its texts."""

    rows: int  # without those of `before`
    weights: tuple[float, ...]  # of the parts of the prompt; none without a negative prompt
    scale: float
    interval: tuple[float, ...]
    picture: float = 1.0  # its scale; 1 for none
    factors: tuple[float, ...] = ()  # of the scale in each row
    away: tuple[int, float] | None = None  # number of the branch that is perturbed, and the scale
    before: int = 0  # rows that lead to a picture's noise


def scale_of(settings: Settings) -> float:
    """The guidance scale; 0 to 1 is no guidance, as in diffusers, but with CFG++."""
    return settings.guidance_scale if settings.cfg_pp else max(1.0, settings.guidance_scale)


def is_guided(settings: Settings, spec: ModelSpec) -> bool:
    """Whether a negative prompt has an effect. Distilled models get the scale as input instead."""
    guides = settings.cfg_pp or composes(settings) or bool(settings.region)
    return spec.unet.guidance_dim is None and (guides or scale_of(settings) != 1)


def plan_of(settings: Settings, bank: Bank, tableau: Tableau, *, guided: bool) -> Plan:
    """The plan of an image; `guided` says whether its batch has negative prompts."""
    weights = bank.weights if guided else ()
    before = rows_there(settings, tableau.rows)
    rows = tableau.rows - before
    plan = Plan(rows, weights, scale_of(settings), settings.guidance_interval, before=before)
    if guided and is_shown(settings):
        plan = plan._replace(picture=settings.image_guidance_scale)
    if guided and settings.cfg_pp:
        plan = plan._replace(factors=tuple(plus_plus(tableau)[0].tolist()))
    if name := perturbation(settings):
        of = int(guided and name != "sag")  # SAG perturbs the negative prompt's branch
        plan = plan._replace(away=(of, getattr(settings, name)))
    return plan


def guidance_of(settings: Settings, bank: Bank, tableau: Tableau, *, guided: bool) -> Guidance:
    """The branches of an image; `guided` says whether its batch has negative prompts."""
    return _branches(plan_of(settings, bank, tableau, guided=guided), bank.which)


@lru_cache(maxsize=1024)
def runs_by(plan: Plan) -> tuple[tuple[int, int, int], ...]:
    """First row, row after the last, and branches of each run."""
    guidance = together([_branches(plan)])
    found = runs(guidance, last_needs_first=plan.away is not None and plan.away[0] == 0)
    return tuple((run.first, run.end, len(run.live)) for run in found)


def perturbation(settings: Settings) -> str | None:
    """The option that guides away from a perturbed branch, of those that `PERTURBATIONS` names."""
    return next((name for name in PERTURBATIONS if getattr(settings, name)), None)


def check_guidance(settings: Settings, spec: ModelSpec, tableau: Tableau) -> None:
    """Checks that options of guidance go together, for an image that is filled in.

    Raises:
      ValueError: one line, for what does not.
    """
    (percentile, _), (_, share) = settings.dynamic_thresholding, settings.mimic_scale
    for name, value in (("dynamic_thresholding", percentile), ("mimic_scale", share)):
        if value > 1:
            raise ValueError(f"{name} PERCENTILE {value} is out of range; allowed is 0 to 1")
    eta, norm, momentum = settings.apg
    if min(eta, norm) < 0 or momentum > 1:
        raise ValueError(
            f"apg {eta} {norm} {momentum} is out of range; allowed are ETA and NORM of 0 or more, "
            "MOMENTUM -1 to 1"
        )
    if settings.region:
        _check_regions(settings, spec)
    methods = [name for name in (*METHODS, *PERTURBATIONS) if _is_used(settings, name)]
    methods += ["image_guidance_scale"] * is_shown(settings)
    for method in methods[:1]:
        methods += [name for name in NOT_WITH.get(method, ()) if _is_used(settings, name)]
    if len(methods) > 1:
        raise ValueError(f"{methods[0]} and {methods[1]} do not go together; give one of them")
    if settings.cfg_pp:
        _check_plus_plus(settings, spec, tableau)


def _check_regions(settings: Settings, spec: ModelSpec) -> None:
    if spec.unet.guidance_dim is not None:
        raise ValueError("region needs a model with negative prompts; this one takes the scale")
    if composes(settings):
        raise ValueError("region and AND in a prompt do not go together; give one of them")
    for name in ("cfg_pp", *PERTURBATIONS, "guidance_interval", "guidance_rescale"):
        if _is_used(settings, name):
            raise ValueError(f"region and {name} do not go together; give one of them")
    if is_shown(settings):
        raise ValueError("region and image_guidance_scale do not go together; give one of them")
    for one in settings.region:
        sides = (one.x, one.y, one.width, one.height)
        if min(sides) < 0 or 0 in sides[2:] or max(one.x + one.width, one.y + one.height) > 1.001:
            raise ValueError(f"region {str(one)!r} is no box within 0 to 1")
        if one.mask and sides != WHOLE:
            raise ValueError(f"region {str(one)!r} has a mask and a box; give one of them")
        if not 0 < one.strength <= MOST_STRENGTH:
            raise ValueError(
                f"region STRENGTH {one.strength} is out of range; allowed is more than 0, up to "
                f"{MOST_STRENGTH}"
            )
        if without_tags(one.text)[1]:
            raise ValueError(f"region {str(one)!r} has <lora:...>, which belongs into the prompt")


def _check_plus_plus(settings: Settings, spec: ModelSpec, tableau: Tableau) -> None:
    if spec.unet.guidance_dim is not None:
        raise ValueError("cfg_pp needs a model with negative prompts; this one takes the scale")
    if settings.guidance_scale > 1:
        raise ValueError(
            f"guidance_scale {settings.guidance_scale} is out of range with cfg_pp; allowed is 0 "
            "to 1, such as 0.6"
        )
    if settings.guidance_interval != OPTIONS["guidance_interval"].default:
        raise ValueError("cfg_pp and guidance_interval do not go together; give one of them")
    plus_plus(tableau)


def _is_used(settings: Settings, name: str) -> bool:
    return getattr(settings, name) != OPTIONS[name].default


def _branches(plan: Plan, which: np.ndarray | None = None) -> Guidance:
    """The branches of a plan, with the texts that they see, [S, K] numbers."""
    guidance = unguided(plan.rows)
    if plan.weights:
        guidance = composed(plan.weights, plan.scale, plan.rows, plan.interval)
    if plan.picture != 1:
        guidance = shown(guidance, plan.picture, plan.interval)
    if plan.before:
        guidance = preceded(guidance, plan.before)
    if which is not None:
        guidance = guidance._replace(which=which)
    if plan.factors:
        factors = np.float32(plan.factors)[:, None]
        guidance = guidance._replace(weight=guidance.weight * factors)
    if plan.away is not None:
        of, scale = plan.away
        guidance = perturbed(guidance, scale, of, guided_rows(plan.interval, plan.rows))
    return guidance
