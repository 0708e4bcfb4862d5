"""ComfyUI's schedulers and samplers: levels of noise, and tables of rows that visit them."""

from collections.abc import Callable

import numpy as np

from jaxsd.schedulers import NoiseSchedule, Tableau
from jaxsd.schedulers.edm import preconditioned
from jaxsd.schedulers.er_sde import er_sde_of
from jaxsd.schedulers.grid import Grid, grid_of_sigmas
from jaxsd.schedulers.samplers import SAMPLERS
from jaxsd.schedulers.spacing import beta_quantiles, exponential_sigmas, karras_sigmas
from jaxsd.schedulers.tableau import blank, tabulate
from jaxsd.schedulers.trained_sigmas import TRAINED_SIGMAS
from jaxsd.types import Prediction
from jaxsd.workflow.stochastic_adams import stochastic_adams
from jaxsd.workflow.values import Model, Sampler

WHOLE = (("lower_order_final", False),)
"""A part of the steps ends at a level that is not 0, in full order."""
NAMED: dict[str, Sampler] = {
    "euler": Sampler("euler"),
    "euler_cfg_pp": Sampler("euler", (("cfg_pp", True),)),
    "euler_ancestral": Sampler("euler_a"),
    "euler_ancestral_cfg_pp": Sampler("euler_a", (("cfg_pp", True),)),
    "heun": Sampler("heun"),
    "dpm_2": Sampler("dpm2"),
    "dpm_2_ancestral": Sampler("dpm2_a"),
    "lms": Sampler("lms"),
    "dpmpp_2s_ancestral": Sampler("dpm++_2s_a"),
    "dpmpp_sde": Sampler("dpm++_sde"),
    "dpmpp_sde_gpu": Sampler("dpm++_sde"),
    "dpmpp_2m": Sampler("dpm++_2m", WHOLE),
    "dpmpp_2m_cfg_pp": Sampler("dpm++_2m", (*WHOLE, ("cfg_pp", True))),
    "dpmpp_2m_sde": Sampler("dpm++_2m_sde", WHOLE),
    "dpmpp_2m_sde_gpu": Sampler("dpm++_2m_sde", WHOLE),
    "dpmpp_3m_sde": Sampler("dpm++_3m_sde"),
    "dpmpp_3m_sde_gpu": Sampler("dpm++_3m_sde"),
    "lcm": Sampler("lcm"),
    "ipndm": Sampler("ipndm"),
    "res_multistep": Sampler("res_multistep"),
    "gradient_estimation": Sampler("gradient_estimation"),
    "er_sde": Sampler("er_sde"),
    "sa_solver": Sampler("sa_solver"),
    "ddim": Sampler("euler"),
    "uni_pc": Sampler("unipc", (("variant", "bh1"),)),
    "uni_pc_bh2": Sampler("unipc", (("variant", "bh2"),)),
}
"""ComfyUI's name of a sampler -> ours. Its "ddim" is Euler's method."""
SAMPLER_NAMES = tuple(NAMED)
SCHEDULER_NAMES = (
    *("simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal"),
    "kl_optimal",
)
_BY_TIMESTEP = ("normal", "sgm_uniform")
"""Schedulers of equally spaced timesteps."""
_ONE_LESS = ("dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2")
"""Samplers whose levels are those of one step more, without the last before 0."""
DISTILLED_LEVELS = 50
"""Levels of an LCM, every twentieth of a thousand."""
_BOTH_WAYS = ("euler", "heun", "dpm2", "lms", "dpm++_2m", "ipndm")
"""Methods without noise that go from a picture to noise too."""
_SIGMA_DATA, _TIMESTEP_SCALING = 0.5, 10.0
_ALMOST_ZERO = 0.001
"""The level at which ComfyUI's UniPC ends."""


def trained_levels(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """The timesteps that a model knows, ascending, and noise over signal at each, [n] float64.

    Those of a model of continuous noise are numbers of levels.
    """
    trained = NoiseSchedule.from_config(model.spec.schedule).noise_to_signal
    every = len(trained) // DISTILLED_LEVELS if model.distilled else 1
    timesteps = np.arange(every - 1, len(trained), every)
    return timesteps, trained[timesteps]


def timesteps_of(model: Model, levels: np.ndarray) -> np.ndarray:
    """What the network is told of levels [n]: the trained timestep next to each, as in ComfyUI."""
    if model.continuous is not None:
        return model.continuous.timestep(levels)
    timesteps, trained = trained_levels(model)
    nearest = np.abs(np.log(levels)[:, None] - np.log(trained)).argmin(axis=1)
    return timesteps[nearest].astype(float)


def scheduled(model: Model, scheduler: str, steps: int, denoise: float = 1.0) -> np.ndarray:
    """The levels of a scheduler, [n + 1] float64, the last 0.

    With `denoise` they are the last ones of so many more steps.

    As ComfyUI's, `ddim_uniform` and `beta` may have other numbers of steps.
    """
    if denoise <= 0:
        return np.zeros(0)
    count = steps if denoise > 0.9999 else int(steps / denoise)
    _, trained = trained_levels(model)
    if scheduler == "karras":
        levels = karras_sigmas(trained[-1], trained[0], count)
    elif scheduler == "exponential":
        levels = exponential_sigmas(trained[-1], trained[0], count)
    elif scheduler == "beta":
        levels = beta_levels(trained, count)
    elif scheduler in _BY_TIMESTEP and model.continuous is not None:
        first, last = model.continuous.timestep(trained[[-1, 0]])
        points = count + (scheduler == "sgm_uniform")
        levels = model.continuous.level(np.linspace(first, last, points)[:count])
    else:
        levels = TRAINED_SIGMAS[scheduler](trained, count)
    levels = np.append(levels, 0.0)
    return levels if denoise > 0.9999 else levels[-(steps + 1) :]


def beta_levels(trained: np.ndarray, steps: int) -> np.ndarray:
    """Trained levels at quantiles of Beta(0.6, 0.6), each once (Lee et al. 2024)."""
    places = beta_quantiles(1 - np.arange(steps) / steps, 0.6)
    return trained[list(dict.fromkeys(np.rint(places * (len(trained) - 1)).astype(int)))]


def levels_for(
    model: Model, name: str, scheduler: str, steps: int, denoise: float = 1.0
) -> np.ndarray:
    """The levels of a sampler by its name, as nodes of KSampler take them."""
    if name not in _ONE_LESS:
        return scheduled(model, scheduler, steps, denoise)
    count = steps if denoise > 0.9999 else int(steps / max(denoise, 1e-9))
    if denoise <= 0:
        return np.zeros(0)
    levels = scheduled(model, scheduler, count + 1)
    return np.append(levels[:-2], levels[-1])[-(steps + 1) :]


def sigma_at(model: Model, percent: float) -> float:
    """The level at a part of the way from noise (0) to picture (1)."""
    if percent <= 0 or percent >= 1:
        return np.inf if percent <= 0 else 0.0
    timesteps, trained = trained_levels(model)
    wanted = (1 - percent) * (len(timesteps) * (timesteps[0] + 1) - 1)
    return float(np.exp(np.interp(wanted, timesteps, np.log(trained))))


def table_of(model: Model, sampler: Sampler, sigmas: np.ndarray) -> Tableau:
    """The sampler's table for levels [n + 1], which begins from latents and noise as ComfyUI does.

    Raises:
      ValueError: levels that neither fall nor rise, or that rise for a method that adds noise.
    """
    sigmas = np.asarray(sigmas, float)
    if rise(sigmas) and sampler.name not in _BOTH_WAYS:
        raise ValueError(
            "sigmas rise, and this sampler goes from noise to a picture alone; those that go back "
            f"are {', '.join(name for name, one in NAMED.items() if one.name in _BOTH_WAYS)}"
        )
    if not (rise(sigmas) or (np.diff(sigmas) < 0).all()):
        raise ValueError("sigmas must fall from each step to the next, or all rise")
    spec, options = model.spec, {k: v for k, v in sampler.options if k != "cfg_pp"}
    first = sigmas[0]
    if sampler.name == "unipc":
        sigmas = np.append(sigmas[:-1], max(sigmas[-1], _ALMOST_ZERO))
        options["order"] = max(1, min(3, len(sigmas) - 2))
    schedule = NoiseSchedule.from_config(spec.schedule)
    grid = grid_of_sigmas(schedule, sigmas)
    builder = _OWN.get(sampler.name) or SAMPLERS[sampler.name].builder
    if builder is stochastic_adams and "noisy" not in options:
        options["noisy"] = (sigma_at(model, 0.2), sigma_at(model, 0.8))
    table = builder(schedule, grid, spec.prediction, **options)
    if model.continuous is not None and model.continuous.is_scaled:
        table = preconditioned(table, spec.schedule.edm, spec.prediction)
    table = table._replace(timestep=timesteps_of(model, table.sigma[:-1] / table.alpha[:-1]))
    highest = trained_levels(model)[1][-1]
    whole = first > highest or np.isclose(first, highest, rtol=1e-5)
    noise = np.hypot(1, first) if whole else first
    table = table._replace(start=table.alpha[0] * np.array([1.0, noise]))
    if model.distilled:
        table = _with_boundary(table)
    return Tableau(*(np.asarray(one, np.float32) for one in table))


def rise(sigmas: np.ndarray) -> bool:
    """Whether levels rise, from a picture to noise."""
    return bool((np.diff(sigmas) > 0).all())


def _jumps(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """ComfyUI's "lcm": to x0, and new noise up to the next level."""
    rows = blank(grid.steps)
    rows.history[:, 0, 0] = 1
    rows.noise[:, 0] = grid.noise_to_signal[1:]
    return tabulate(prediction, rows, **grid.unscaled._asdict())


def _extended_reverse(
    schedule: NoiseSchedule,
    grid: Grid,
    prediction: Prediction,
    *,
    scale: Callable[[np.ndarray], np.ndarray],
    order: int,
) -> Tableau:
    return er_sde_of(grid, prediction, scale, order)


_OWN: dict[str, Callable[..., Tableau]] = {
    "lcm": _jumps,
    "sa_solver": stochastic_adams,
    "er_sde_of": _extended_reverse,
}
"""Methods that are other ones in ComfyUI than here under the same name."""


def _with_boundary(table: Tableau) -> Tableau:
    """Estimates of x0 with the boundary condition of LCM (Luo et al. 2023): x itself at time 0."""
    t = _TIMESTEP_SCALING * table.timestep
    skip = _SIGMA_DATA**2 / (t**2 + _SIGMA_DATA**2)
    out = t / np.sqrt(t**2 + _SIGMA_DATA**2)
    return table._replace(c_skip=out * table.c_skip + skip, c_out=out * table.c_out)


def is_plus_plus(sampler: Sampler) -> bool:
    """Whether the sampler takes the noise of the unguided prediction (CFG++)."""
    return ("cfg_pp", True) in sampler.options
