"""Nodes of samplers by themselves."""

from typing import Annotated, Any, Literal

from jaxsd.workflow.levels import NAMED, SAMPLER_NAMES
from jaxsd.workflow.schema import Choice, Range, node
from jaxsd.workflow.values import Sampler

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
