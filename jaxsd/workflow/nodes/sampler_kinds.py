"""Nodes of samplers by themselves."""

from typing import Annotated, Any, Literal

import numpy as np

from jaxsd.workflow.levels import NAMED, SAMPLER_NAMES, sigma_at
from jaxsd.workflow.schema import Choice, Percent, Range, node
from jaxsd.workflow.values import MODEL, Sampler

Eta = Annotated[float, Range(0, 100)]
Device = Literal["gpu", "cpu"]


@node("KSamplerSelect", "SAMPLER")
def k_sampler_select(*, sampler_name: Annotated[str, Choice(SAMPLER_NAMES)]) -> Sampler:
    """A sampler by its name."""
    return NAMED[sampler_name]


@node("SamplerLMS", "SAMPLER")
def sampler_lms(*, order: Annotated[int, Range(1, 4)] = 4) -> Sampler:
    """Linear multistep through so many predictions; ComfyUI takes more than four too."""
    return Sampler("lms", (("order", order),))


@node("SamplerEulerAncestral", "SAMPLER")
def sampler_euler_ancestral(*, eta: Eta = 1.0, s_noise: Eta = 1.0) -> Sampler:
    """Euler's method with new noise in each step."""
    return _usual("euler_ancestral", eta, s_noise)


@node("SamplerEulerAncestralCFGPP", "SAMPLER")
def sampler_euler_ancestral_cfg_pp(*, eta: Eta = 1.0, s_noise: Eta = 1.0) -> Sampler:
    """The same with the noise of the unguided prediction."""
    return _usual("euler_ancestral_cfg_pp", eta, s_noise)


@node("SamplerDPMPP_2S_Ancestral", "SAMPLER")
def sampler_dpmpp_2s_ancestral(*, eta: Eta = 1.0, s_noise: Eta = 1.0) -> Sampler:
    """DPM-Solver++ of two calls in a step, with new noise."""
    return _usual("dpmpp_2s_ancestral", eta, s_noise)


@node("SamplerDPMPP_SDE", "SAMPLER")
def sampler_dpmpp_sde(
    *, eta: Eta = 1.0, s_noise: Eta = 1.0, r: Eta = 0.5, noise_device: Device = "gpu"
) -> Sampler:
    """DPM-Solver++ for the stochastic equation, of two calls in a step."""
    _check_usual("r", r, 0.5)
    return _usual("dpmpp_sde", eta, s_noise)


@node("SamplerDPMPP_2M_SDE", "SAMPLER")
def sampler_dpmpp_2m_sde(
    *,
    solver_type: Literal["midpoint", "heun"] = "midpoint",
    eta: Eta = 1.0,
    s_noise: Eta = 1.0,
    noise_device: Device = "gpu",
) -> Sampler:
    """The same of two predictions."""
    _check_usual("solver_type", solver_type, "midpoint")
    return _usual("dpmpp_2m_sde", eta, s_noise)


@node("SamplerDPMPP_3M_SDE", "SAMPLER")
def sampler_dpmpp_3m_sde(
    *, eta: Eta = 1.0, s_noise: Eta = 1.0, noise_device: Device = "gpu"
) -> Sampler:
    """The same of three predictions."""
    return _usual("dpmpp_3m_sde", eta, s_noise)


@node("SamplerER_SDE", "SAMPLER")
def sampler_er_sde(
    *,
    solver_type: Literal["ER-SDE", "Reverse-time SDE", "ODE"] = "ER-SDE",
    max_stage: Annotated[int, Range(1, 3)] = 3,
    eta: Annotated[float, Range(0, 10)] = 1.0,
    s_noise: Eta = 1.0,
) -> Sampler:
    """ER-SDE-Solver; `eta` is the power of what it adds to the noise of a plain equation."""
    if solver_type == "ODE" or eta == 0:
        return Sampler("er_sde_of", (("scale", lambda sigma: sigma), ("order", max_stage)))
    _check_usual("s_noise", s_noise, 1.0)
    scales = {
        "ER-SDE": lambda sigma: sigma * (np.exp(sigma**0.3) + 10) ** eta,
        "Reverse-time SDE": lambda sigma: sigma ** (eta + 1),
    }
    return Sampler("er_sde_of", (("scale", scales[solver_type]), ("order", max_stage)))


@node("SamplerSASolver", "SAMPLER")
def sampler_sa_solver(
    *,
    model: MODEL,
    eta: Annotated[float, Range(0, 10)] = 1.0,
    sde_start_percent: Percent = 0.2,
    sde_end_percent: Percent = 0.8,
    s_noise: Eta = 1.0,
    predictor_order: Annotated[int, Range(1, 6)] = 3,
    corrector_order: Annotated[int, Range(0, 6)] = 4,
    use_pece: bool = False,
    simple_order_2: bool = False,
) -> Sampler:
    """SA-Solver with noise in a part of the way."""
    _check_usual("s_noise", s_noise, 1.0)
    _check_usual("use_pece", use_pece, False)
    options = {
        "noisy": (sigma_at(model, sde_start_percent), sigma_at(model, sde_end_percent)),
        "eta": eta,
        "predictor_order": predictor_order,
        "corrector_order": corrector_order,
        "simple_order_2": simple_order_2,
    }
    return Sampler("sa_solver", tuple(options.items()))


def _usual(name: str, eta: float, s_noise: float) -> Sampler:
    """A sampler whose options are ComfyUI's defaults.

    Raises:
      ValueError: naming another one.
    """
    _check_usual("eta", eta, 1.0)
    _check_usual("s_noise", s_noise, 1.0)
    return NAMED[name]


def _check_usual(name: str, value: Any, usual: Any) -> None:
    if value != usual:
        raise ValueError(f"{name} {value} is not here; give {usual}")
