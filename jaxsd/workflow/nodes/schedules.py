"""Nodes of levels."""

from typing import Annotated, Literal

import numpy as np

from jaxsd.families import SD1
from jaxsd.schedulers import NoiseSchedule
from jaxsd.schedulers.spacing import exponential_sigmas, karras_sigmas
from jaxsd.schedulers.trained_sigmas import ALIGNED, ALIGNED_XL, gits_sigmas
from jaxsd.workflow.levels import SCHEDULER_NAMES, scheduled, trained_levels
from jaxsd.workflow.schema import Choice, Percent, Range, node
from jaxsd.workflow.values import MODEL, SIGMAS

Steps = Annotated[int, Range(1, 10_000)]
Level = Annotated[float, Range(0, 5000)]
Shape = Annotated[float, Range(0.01, 50)]
Scheduler = Annotated[str, Choice(SCHEDULER_NAMES)]


@node("BasicScheduler", "SIGMAS")
def basic_scheduler(
    *, model: MODEL, scheduler: Scheduler, steps: Steps = 20, denoise: Percent = 1.0
) -> np.ndarray:
    """The levels of a scheduler by its name."""
    return scheduled(model, scheduler, steps, denoise)


@node("KarrasScheduler", "SIGMAS")
def karras_scheduler(
    *,
    steps: Steps = 20,
    sigma_max: Level = 14.614642,
    sigma_min: Level = 0.0291675,
    rho: Annotated[float, Range(0, 100)] = 7.0,
) -> np.ndarray:
    """Equally spaced in sigma^(1/rho)."""
    return np.append(karras_sigmas(sigma_max, sigma_min, steps, rho), 0.0)


@node("ExponentialScheduler", "SIGMAS")
def exponential_scheduler(
    *, steps: Steps = 20, sigma_max: Level = 14.614642, sigma_min: Level = 0.0291675
) -> np.ndarray:
    """Equally spaced in log sigma."""
    return np.append(exponential_sigmas(sigma_max, sigma_min, steps), 0.0)


@node("PolyexponentialScheduler", "SIGMAS")
def polyexponential_scheduler(
    *,
    steps: Steps = 20,
    sigma_max: Level = 14.614642,
    sigma_min: Level = 0.0291675,
    rho: Annotated[float, Range(0, 100)] = 1.0,
) -> np.ndarray:
    """A power of log sigma's way."""
    share = np.linspace(1, 0, steps) ** rho
    return np.append(sigma_min * (sigma_max / sigma_min) ** share, 0.0)


@node("LaplaceScheduler", "SIGMAS")
def laplace_scheduler(
    *,
    steps: Steps = 20,
    sigma_max: Level = 14.614642,
    sigma_min: Level = 0.0291675,
    mu: Annotated[float, Range(-10, 10)] = 0.0,
    beta: Annotated[float, Range(0, 10)] = 0.5,
) -> np.ndarray:
    """Quantiles of Laplace's distribution of log sigma; the last level is not 0."""
    away = 0.5 - np.linspace(0, 1, steps)
    logs = mu - beta * np.sign(away) * np.log(1 - 2 * np.abs(away) + 1e-5)
    return np.clip(np.exp(logs), sigma_min, sigma_max)


@node("VPScheduler", "SIGMAS")
def vp_scheduler(
    *,
    steps: Steps = 20,
    beta_d: Level = 19.9,
    beta_min: Level = 0.1,
    eps_s: Percent = 0.001,
) -> np.ndarray:
    """Equally spaced times of a continuous process that keeps variance (Song et al. 2021)."""
    t = np.linspace(1, eps_s, steps)
    return np.append(np.sqrt(np.expm1(beta_d * t**2 / 2 + beta_min * t)), 0.0)


@node("BetaSamplingScheduler", "SIGMAS")
def beta_sampling_scheduler(
    *, model: MODEL, steps: Steps = 20, alpha: Shape = 0.6, beta: Shape = 0.6
) -> np.ndarray:
    """Trained levels at quantiles of a beta distribution, each once (Lee et al. 2024)."""
    from scipy.special import betaincinv  # takes half a second

    _, trained = trained_levels(model)
    places = betaincinv(alpha, beta, 1 - np.arange(steps) / steps) * (len(trained) - 1)
    return np.append(trained[list(dict.fromkeys(np.rint(places).astype(int)))], 0.0)


@node("SDTurboScheduler", "SIGMAS")
def sd_turbo_scheduler(
    *, model: MODEL, steps: Annotated[int, Range(1, 10)] = 1, denoise: Percent = 1.0
) -> np.ndarray:
    """Every hundredth trained level from the noisiest down."""
    _, trained = trained_levels(model)
    first = 10 - int(10 * denoise)
    places = np.arange(1, 11)[::-1][first : first + steps] * 100 - 1
    return np.append(trained[places], 0.0)


@node("AlignYourStepsScheduler", "SIGMAS")
def align_your_steps_scheduler(
    *, model_type: Literal["SD1", "SDXL"], steps: Steps = 10, denoise: Percent = 1.0
) -> np.ndarray:
    """The levels that were found for ten steps, and others between them."""
    if denoise <= 0:
        return np.zeros(0)
    count = steps if denoise > 0.9999 else round(steps * denoise)
    known = np.array({"SD1": ALIGNED, "SDXL": ALIGNED_XL}[model_type])
    places = np.linspace(0, 1, steps + 1)
    levels = np.exp(np.interp(places, np.linspace(0, 1, len(known)), np.log(known)))
    levels = levels[-(count + 1) :]
    levels[-1] = 0
    return levels


@node("GITSScheduler", "SIGMAS")
def gits_scheduler(
    *,
    coeff: Annotated[float, Range(0.8, 1.5)] = 1.2,
    steps: Annotated[int, Range(2, 1000)] = 10,
    denoise: Percent = 1.0,
) -> np.ndarray:
    """The levels that a search found for so many steps of SD 1.5.

    Raises:
      ValueError: another coefficient of the search than 1.2.
    """
    if coeff != 1.2:
        raise ValueError(f"coeff {coeff:g} is not here; give 1.2")
    if denoise <= 0:
        return np.zeros(0)
    count = steps if denoise > 0.9999 else round(steps * denoise)
    trained = NoiseSchedule.from_config(SD1.schedule).noise_to_signal
    return np.append(gits_sigmas(trained, steps), 0.0)[-(count + 1) :]


@node("ManualSigmas", "SIGMAS")
def manual_sigmas(*, sigmas: str = "1, 0.5") -> np.ndarray:
    """Levels as numbers.

    Raises:
      ValueError: something that is no number.
    """
    try:
        return np.array([float(one) for one in sigmas.replace(",", " ").split()])
    except ValueError:
        raise ValueError("sigmas are numbers with commas between, such as 14.6, 2, 0") from None


@node("FlipSigmas", "SIGMAS")
def flip_sigmas(*, sigmas: SIGMAS) -> np.ndarray:
    """The levels backwards, from a picture to noise; a first 0 becomes 0.0001."""
    flipped = np.array(sigmas[::-1])
    flipped[:1] = np.where(flipped[:1] == 0, 1e-4, flipped[:1])
    return flipped


@node("SplitSigmas", "SIGMAS", "SIGMAS")
def split_sigmas(
    *, sigmas: SIGMAS, step: Annotated[int, Range(0, 10_000)] = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The levels up to a step, and those from it on."""
    return sigmas[: step + 1], sigmas[step:]


@node("SplitSigmasDenoise", "SIGMAS", "SIGMAS")
def split_sigmas_denoise(
    *, sigmas: SIGMAS, denoise: Percent = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The first levels, and the last share of them."""
    steps = max(len(sigmas) - 1, 0)
    last = round(steps * denoise)
    return sigmas[: len(sigmas) - last], sigmas[len(sigmas) - last - 1 :]
