"""Nodes that draw latents."""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np

from jaxsd.config.autoencoders import scaled, unscaled
from jaxsd.workflow.levels import NAMED, SAMPLER_NAMES, SCHEDULER_NAMES, levels_for
from jaxsd.workflow.noises import first_noise
from jaxsd.workflow.sampling import Asked, sampled
from jaxsd.workflow.schema import Choice, Percent, Range, Seed, node
from jaxsd.workflow.values import (
    CONDITIONING,
    GUIDER,
    LATENT,
    MODEL,
    NOISE,
    SAMPLER,
    SIGMAS,
    Guider,
    Latent,
    Noise,
)
from jaxsd.workflow.workspace import Workspace

Steps = Annotated[int, Range(1, 10_000)]
Scale = Annotated[float, Range(0, 100)]
SamplerName = Annotated[str, Choice(SAMPLER_NAMES)]
Scheduler = Annotated[str, Choice(SCHEDULER_NAMES)]


@node("KSampler", "LATENT")
def k_sampler(
    place: Workspace,
    *,
    model: MODEL,
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: Scale = 8.0,
    sampler_name: SamplerName,
    scheduler: Scheduler,
    positive: CONDITIONING,
    negative: CONDITIONING,
    latent_image: LATENT,
    denoise: Percent = 1.0,
) -> Latent:
    """Latents drawn from noise, or from latents with `denoise` of the noise."""
    sigmas = levels_for(model, sampler_name, scheduler, steps, denoise)
    guider = Guider(model, positive, negative, cfg)
    noise = _noise(Noise(seed), latent_image)
    asked = Asked(guider, NAMED[sampler_name], sigmas, latent_image, noise, seed)
    return sampled(place, asked)[0]


@node("KSamplerAdvanced", "LATENT")
def k_sampler_advanced(
    place: Workspace,
    *,
    model: MODEL,
    add_noise: Literal["enable", "disable"],
    noise_seed: Seed = 0,
    steps: Steps = 20,
    cfg: Scale = 8.0,
    sampler_name: SamplerName,
    scheduler: Scheduler,
    positive: CONDITIONING,
    negative: CONDITIONING,
    latent_image: LATENT,
    start_at_step: Annotated[int, Range(0, 10_000)] = 0,
    end_at_step: Annotated[int, Range(0, 10_000)] = 10_000,
    return_with_leftover_noise: Literal["disable", "enable"],
) -> Latent:
    """Some of the steps, from latents that may have noise to latents that may keep some."""
    sigmas = levels_for(model, sampler_name, scheduler, steps)
    if end_at_step < len(sigmas) - 1:
        sigmas = sigmas[: end_at_step + 1]
        if return_with_leftover_noise == "disable":
            sigmas[-1] = 0
    sigmas = sigmas[start_at_step:]
    guider = Guider(model, positive, negative, cfg)
    noise = _noise(Noise(noise_seed if add_noise == "enable" else None), latent_image)
    asked = Asked(guider, NAMED[sampler_name], sigmas, latent_image, noise, noise_seed)
    return sampled(place, asked)[0]


@node("SamplerCustom", "LATENT", "LATENT")
def sampler_custom(
    place: Workspace,
    *,
    model: MODEL,
    add_noise: bool = True,
    noise_seed: Seed = 0,
    cfg: Scale = 8.0,
    positive: CONDITIONING,
    negative: CONDITIONING,
    sampler: SAMPLER,
    sigmas: SIGMAS,
    latent_image: LATENT,
) -> tuple[Latent, Latent]:
    """Latents drawn through given levels; the second output is the same without leftover noise."""
    guider = Guider(model, positive, negative, cfg)
    noise = _noise(Noise(noise_seed if add_noise else None), latent_image)
    return sampled(place, Asked(guider, sampler, sigmas, latent_image, noise, noise_seed))


@node("SamplerCustomAdvanced", "LATENT", "LATENT")
def sampler_custom_advanced(
    place: Workspace,
    *,
    noise: NOISE,
    guider: GUIDER,
    sampler: SAMPLER,
    sigmas: SIGMAS,
    latent_image: LATENT,
) -> tuple[Latent, Latent]:
    """The same with a guider."""
    first = _noise(noise, latent_image)
    return sampled(place, Asked(guider, sampler, sigmas, latent_image, first, noise.seed or 0))


@node("RandomNoise", "NOISE")
def random_noise(*, noise_seed: Seed = 0) -> Noise:
    """The noise of a seed."""
    return Noise(noise_seed)


@node("DisableNoise", "NOISE")
def disable_noise() -> Noise:
    """No noise."""
    return Noise(None)


@node("BasicGuider", "GUIDER")
def basic_guider(*, model: MODEL, conditioning: CONDITIONING) -> Guider:
    """A text without a negative one."""
    return Guider(model, conditioning, (), 1.0)


@node("CFGGuider", "GUIDER")
def cfg_guider(
    *, model: MODEL, positive: CONDITIONING, negative: CONDITIONING, cfg: Scale = 8.0
) -> Guider:
    """Classifier-free guidance."""
    return Guider(model, positive, negative, cfg)


@node("DualCFGGuider", "GUIDER")
def dual_cfg_guider(
    *,
    model: MODEL,
    cond1: CONDITIONING,
    cond2: CONDITIONING,
    negative: CONDITIONING,
    cfg_conds: Scale = 8.0,
    cfg_cond2_negative: Scale = 8.0,
    style: Literal["regular", "nested"] = "regular",
) -> Guider:
    """Away from the negative text to the second one, and from there to the first one.

    "nested" guides to what is guided between the two, and then away from the negative text.
    """
    first, second = cfg_conds, cfg_cond2_negative
    weights = (1 - second, second - first, first)
    if style == "nested":
        weights = (1 - second, second * (1 - first), second * first)
    return Guider(model, cond1, negative, first, cond2, weights)


@node("AddNoise", "LATENT")
def add_noise(*, model: MODEL, noise: NOISE, sigmas: SIGMAS, latent_image: LATENT) -> Latent:
    """Latents with the noise between the first and the last level, or of the only one."""
    if not len(sigmas):
        return latent_image
    level = abs(sigmas[0] - sigmas[-1]) if len(sigmas) > 1 else sigmas[0]
    vae = model.spec.vae
    whole = latent_image.samples
    whole = scaled(vae, whole) if whole.any() else whole
    noised = whole + np.float32(level) * _noise(noise, latent_image)
    return replace(latent_image, samples=np.asarray(unscaled(vae, noised), np.float32))


def _noise(noise: Noise, latent: Latent) -> np.ndarray:
    if noise.seed is None:
        return np.zeros_like(latent.samples)
    return first_noise(noise.seed, latent.samples.shape, latent.numbers)
