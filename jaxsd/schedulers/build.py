"""The list of samplers, and `build`, which makes a checked table of a name and some numbers."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxsd.schedulers.ddim import ddim
from jaxsd.schedulers.dpmpp_2m import dpmpp_2m
from jaxsd.schedulers.euler import euler
from jaxsd.schedulers.grid import Grid, sigma_grid, solver_grid, training_grid, truncated
from jaxsd.schedulers.noise import SMALLEST_ALPHA_CUMPROD, NoiseSchedule
from jaxsd.schedulers.pndm import pndm
from jaxsd.schedulers.tableau import Tableau
from jaxsd.types import PREDICTIONS, Prediction


class Sampler(NamedTuple):
    """A builder `(schedule, grid, prediction, **options) -> Tableau` and the grid it is built on."""

    builder: Callable[..., Tableau]
    grid: Callable[..., Grid]


SAMPLERS: dict[str, Sampler] = {
    "ddim": Sampler(ddim, training_grid),
    "pndm": Sampler(pndm, training_grid),
    "euler": Sampler(euler, sigma_grid),
    "dpm++_2m": Sampler(dpmpp_2m, solver_grid),
}
"""Every sampler. The only list to extend."""


def build(
    name: str,
    noise_schedule: NoiseSchedule,
    steps: int,
    prediction: Prediction,
    *,
    strength: float = 1.0,
    **options: Any,
) -> Tableau:
    """The table of a sampler, float32, checked; one row a step except pndm (n+1) and heun (2n-1).

    Args:
      name: a name of `SAMPLERS` or one of `ALIASES`, in any case; "_karras" at the end means
        `sigmas="karras"`.
      steps: 1..T.
      prediction: what the network was trained to output.
      strength: share of the steps to take, the last ones, for image-to-image; (0, 1].
      **options: of the sampler's grid (`spacing`, `steps_offset`, `timesteps`, `sigmas`,
        `set_alpha_to_one`) and of its builder (`eta`, `order`, ...). What is not given is the noise
        schedule's, and after that the sampler's own.

    Raises:
      ValueError: one line, for an unknown name, prediction, option or value.
    """
    sampler = SAMPLERS[name]
    if prediction not in PREDICTIONS:
        raise ValueError(
            f"prediction {prediction!r} is unknown: choose one of {', '.join(PREDICTIONS)}"
        )
    if not 1 <= steps <= noise_schedule.train_steps:
        raise ValueError(f"steps must be 1 to {noise_schedule.train_steps}, not {steps}")
    grid_options, builder_options = _options(sampler.grid), _options(sampler.builder)
    for option in options:
        if option not in grid_options + builder_options:
            allowed = ", ".join(sorted(grid_options + builder_options))
            raise ValueError(f"sampler {name} has no option {option!r}: it has {allowed}")
    grid = sampler.grid(
        noise_schedule, steps, **{k: v for k, v in options.items() if k in grid_options}
    )
    if prediction == "epsilon" and grid.alpha[0] ** 2 <= SMALLEST_ALPHA_CUMPROD:
        raise ValueError(
            "epsilon-prediction cannot start from zero terminal SNR, where the noise says nothing of "
            "the image: use a v-prediction model, or leading spacing"
        )
    tableau = sampler.builder(
        noise_schedule,
        truncated(grid, strength),
        prediction,
        **{k: v for k, v in options.items() if k in builder_options},
    )
    return Tableau(*(np.asarray(field, np.float32) for field in tableau))


def _options(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of a function's keyword-only arguments."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
