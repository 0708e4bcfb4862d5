"""The list of samplers, and `build`, which makes a checked table from a name and some numbers."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from jaxsd.schedulers.bdia import bdia
from jaxsd.schedulers.ddim import ddim
from jaxsd.schedulers.ddpm import ddpm
from jaxsd.schedulers.deis import deis
from jaxsd.schedulers.dpm2 import dpm2, dpm2_a
from jaxsd.schedulers.dpmpp_2m import dpmpp_2m, dpmpp_2m_sde
from jaxsd.schedulers.dpmpp_2s import dpmpp_2s, dpmpp_2s_a
from jaxsd.schedulers.dpmpp_3m import dpmpp_3m_sde
from jaxsd.schedulers.dpmpp_sde import dpmpp_sde
from jaxsd.schedulers.edm import preconditioned
from jaxsd.schedulers.er_sde import er_sde
from jaxsd.schedulers.euler import euler
from jaxsd.schedulers.euler_a import euler_a
from jaxsd.schedulers.gradient_estimation import gradient_estimation
from jaxsd.schedulers.grid import Grid, distillation_grid, sigma_grid, solver_grid, training_grid
from jaxsd.schedulers.heun import heun
from jaxsd.schedulers.ipndm import ipndm
from jaxsd.schedulers.lcm import lcm
from jaxsd.schedulers.learnt import is_learnt, learnt_of, method_of
from jaxsd.schedulers.lms import lms
from jaxsd.schedulers.names import resolve
from jaxsd.schedulers.noise import STANDS_FOR_ZERO, NoiseSchedule
from jaxsd.schedulers.pndm import pndm
from jaxsd.schedulers.res_multistep import res_multistep
from jaxsd.schedulers.restart import restart
from jaxsd.schedulers.sa_solver import sa_solver
from jaxsd.schedulers.tableau import Tableau
from jaxsd.schedulers.tcd import tcd
from jaxsd.schedulers.unipc import unipc
from jaxsd.types import PREDICTIONS, Prediction


class Sampler(NamedTuple):
    """A method and its kind of grid. Options are the keyword-only arguments of both."""

    builder: Callable[..., Tableau]  # (schedule, grid, prediction, **options)
    grid: Callable[..., Grid]  # (schedule, steps, **options)
    webui: str  # its name there


SAMPLERS: dict[str, Sampler] = {
    "ddim": Sampler(ddim, training_grid, "DDIM"),
    "ddpm": Sampler(ddpm, partial(training_grid, set_alpha_to_one=True), "DDPM"),
    "pndm": Sampler(pndm, training_grid, "PLMS"),
    "lms": Sampler(lms, sigma_grid, "LMS"),
    "euler": Sampler(euler, sigma_grid, "Euler"),
    "euler_a": Sampler(euler_a, sigma_grid, "Euler a"),
    "heun": Sampler(heun, sigma_grid, "Heun"),
    "dpm2": Sampler(dpm2, sigma_grid, "DPM2"),
    "dpm2_a": Sampler(dpm2_a, sigma_grid, "DPM2 a"),
    "dpm++_sde": Sampler(dpmpp_sde, sigma_grid, "DPM++ SDE"),
    "dpm++_2m": Sampler(dpmpp_2m, solver_grid, "DPM++ 2M"),
    "dpm++_2m_sde": Sampler(dpmpp_2m_sde, solver_grid, "DPM++ 2M SDE"),
    "dpm++_3m_sde": Sampler(dpmpp_3m_sde, solver_grid, "DPM++ 3M SDE"),
    "dpm++_2s": Sampler(dpmpp_2s, partial(solver_grid, spacing="linspace"), "DPM++ 2S"),
    "dpm++_2s_a": Sampler(dpmpp_2s_a, sigma_grid, "DPM++ 2S a"),
    "unipc": Sampler(unipc, solver_grid, "UniPC"),
    "deis": Sampler(deis, partial(solver_grid, final_sigma="smallest"), "DEIS"),
    "sa_solver": Sampler(sa_solver, partial(solver_grid, final_sigma="smallest"), "SA Solver"),
    "ipndm": Sampler(ipndm, sigma_grid, "IPNDM"),
    "restart": Sampler(restart, sigma_grid, "Restart"),
    "er_sde": Sampler(er_sde, sigma_grid, "ER SDE"),
    "res_multistep": Sampler(res_multistep, sigma_grid, "Res Multistep"),
    "gradient_estimation": Sampler(gradient_estimation, sigma_grid, "Gradient Estimation"),
    "bdia": Sampler(bdia, training_grid, "BDIA"),
    "lcm": Sampler(lcm, distillation_grid, "LCM"),
    "tcd": Sampler(tcd, distillation_grid, "TCD"),
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
    """The table of a sampler, float32 on the host. One row per step; pndm has n+1, heun 2n-1.

    Args:
      name: a name of `SAMPLERS` or `names.ALIASES`, in upper or lower case; a name of `SIGMAS` or
        `TRAINED_SIGMAS` at its end, as in "euler_karras", sets the option `sigmas`. Or a file of
        learnt samplers, NAME.json, which has no options.
      noise_schedule: the model's.
      steps: 1..T.
      prediction: what the model was trained to output.
      strength: share of the steps to take, the last ones, for image-to-image; (0, 1].
      **options: options of the sampler's grid (`spacing`, `steps_offset`, `timesteps`, `sigmas`,
        `set_alpha_to_one`, ...) and of the sampler (`eta`, `order`, ...). Defaults are the noise
        schedule's, or else the sampler's own.

    Raises:
      ValueError: in one line, for a name, prediction, option or value that is not allowed.
      OSError: a file that can not be read.
    """
    if is_learnt(name):
        sampler = Sampler(*method_of(learnt_of(name, steps)), name)
    else:
        name, implied = resolve(name, tuple(SAMPLERS))
        options = implied | options
        sampler = SAMPLERS[name]
    of_grid, of_builder = _options(sampler.grid), _options(sampler.builder)
    if (edm := noise_schedule.edm) and not {"sigmas", "spacing", "timesteps"} & options.keys():
        options |= {"sigmas": edm.sigmas} if "sigmas" in of_grid else {}
    for option in options:
        if option not in of_grid + of_builder:
            known = ", ".join(sorted((*of_grid, *of_builder))) or "none"
            raise ValueError(f"sampler {name} has no option {option!r}: choose from {known}")
    if prediction not in PREDICTIONS:
        raise ValueError(
            f"prediction {prediction!r} is unknown: choose one of {', '.join(PREDICTIONS)}"
        )
    if not 1 <= steps <= noise_schedule.train_steps:
        raise ValueError(f"steps must be 1 to {noise_schedule.train_steps}, not {steps}")
    grid = sampler.grid(noise_schedule, steps, **_only(of_grid, options)).truncated(strength)
    begins_at_zero = (
        noise_schedule.alphas_cumprod[-1] == 0 and grid.alpha[0] ** 2 < 2 * STANDS_FOR_ZERO
    )
    if prediction == "epsilon" and begins_at_zero:
        raise ValueError(
            "epsilon-prediction cannot begin at zero terminal SNR, where noise tells nothing of "
            "the image: use a v-prediction model, or leading spacing"
        )
    tableau = sampler.builder(noise_schedule, grid, prediction, **_only(of_builder, options))
    if edm is not None:
        tableau = preconditioned(tableau, edm, prediction)
    return Tableau(*(np.asarray(field, np.float32) for field in tableau))


def options_of(name: str) -> tuple[str, ...]:
    """Names of a sampler's options and of those of its grid; a file has none.

    Raises:
      ValueError: an unknown name.
    """
    if is_learnt(name):
        return ()
    sampler = SAMPLERS[resolve(name, tuple(SAMPLERS))[0]]
    return _options(sampler.grid) + _options(sampler.builder)


def _options(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of a function's keyword-only arguments."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def _only(names: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}
