"""Compares a whole model with its twin in diffusers: every module, every step, every image.

For `jaxsd parity`; needs the extra [parity].
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import numpy as np
import torch

import jaxsd
from jaxsd.config import UNetConfig
from jaxsd.images import to_uint8
from jaxsd.parity.modules import (
    ModuleError,
    compare_modules,
    flax_outputs,
    nchw,
    nhwc,
    relative_error,
    run_text,
    run_unet,
    torch_outputs,
)
from jaxsd.pipeline import Pipeline
from jaxsd.sampling.program import decode
from jaxsd.types import Array

SCHEDULERS: dict[str, tuple[type, dict[str, Any]]] = {
    # These settings replace defaults of from_config that no model of ours uses.
    "ddim": (diffusers.DDIMScheduler, {"clip_sample": False}),
    "pndm": (diffusers.PNDMScheduler, {"skip_prk_steps": True}),
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "dpm++_2m": (diffusers.DPMSolverMultistepScheduler, {}),
    "unipc": (diffusers.UniPCMultistepScheduler, {}),
}
"""Samplers that add no noise, and that have a row for each of diffusers' steps."""

OF_EDM: dict[str, tuple[type, dict[str, Any]]] = {
    "euler": (diffusers.EDMEulerScheduler, {}),
    "dpm++_2m": (diffusers.EDMDPMSolverMultistepScheduler, {}),
}
"""The same for models with continuous noise (CosXL, Playground 2.5)."""

DRAWS = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
"""Pipelines that draw from texts alone, so that steps and images can be compared."""


ABSENT = ("safety_checker", "feature_extractor", "depth_estimator")
"""Of diffusers' pipelines, what is not compared."""


class Request(NamedTuple):
    """What both are asked to draw."""

    prompts: list[str]
    negatives: list[str]
    guidance_scale: float
    steps: int
    height: int
    width: int
    seed: int | None = None  # of the first image; None for noise that is given to both


class SamplerErrors(NamedTuple):
    """How far one sampler's run is from diffusers'."""

    sampler: str
    steps: list[float]  # of the latents after each step, over their largest value
    psnr: list[float]  # of each decoded image before clipping and rounding, decibels
    changed: list[float]  # of each image, the share of 8-bit values that differ
    furthest: list[int]  # of each image, the largest difference of 8-bit values


def open_both(folder: Path, against: Path) -> tuple[Pipeline, Any]:
    """A diffusers folder in jaxsd, and one in diffusers, both in float32."""
    diffusers.logging.set_verbosity_error()
    diffusers.logging.disable_progress_bar()
    absent = dict.fromkeys(ABSENT)
    theirs = diffusers.DiffusionPipeline.from_pretrained(
        against, torch_dtype=torch.float32, local_files_only=True, **absent
    )
    theirs.set_progress_bar_config(disable=True)
    return jaxsd.load(folder), theirs


def compare_networks(
    ours: Pipeline, theirs: Any, request: Request
) -> Iterator[tuple[str, list[ModuleError]]]:
    """Runs each network once, on one image; yields its name and the errors of its modules."""
    networks, params, spec = ours.networks, ours.params, ours.spec
    texts = [request.prompts[0]]
    contexts = []
    for i, (encoder, tree) in enumerate(zip(networks.text, params["text"], strict=True)):
        name = _text_encoder(theirs, i, len(networks.text))
        twin, ids = getattr(theirs, name), ours.tokenizers[i](texts)
        (context, _), outputs = torch_outputs(
            twin, lambda t=twin, e=encoder, x=ids: run_text(t, e.config, x)
        )
        contexts.append(context)
        yield name, compare_modules(flax_outputs(encoder, tree, {"ids": ids})[1], outputs)

    if networks.vision is not None:
        seen = normal((1, *[spec.sight.vision.image_size] * 2, 3))
        twin = theirs.image_encoder
        _, outputs = torch_outputs(twin, lambda: twin(nchw(seen)))
        _, own = flax_outputs(networks.vision, params["vision"], {"images": seen})
        yield "image_encoder", compare_modules(own, outputs)

    size = (request.height // spec.vae.downscale, request.width // spec.vae.downscale)
    if not contexts:  # a model that sees a picture in place of a text
        contexts = [normal((1, 1, spec.unet.context_dim))]
    inputs = unet_inputs(spec.unet, np.concatenate(contexts, axis=-1), size)
    _, outputs = torch_outputs(theirs.unet, lambda: run_unet(theirs.unet, inputs))
    _, own = flax_outputs(networks.unet, params["unet"], inputs)
    yield "unet", compare_modules(own, outputs)

    latents = normal((1, *size, spec.vae.latent_channels))
    images, outputs = torch_outputs(theirs.vae, lambda: nhwc(theirs.vae.decode(nchw(latents))[0]))
    _, own = flax_outputs(networks.vae, params["vae"], {"latents": latents}, "decode")
    yield "vae decoder", compare_modules(own, outputs)
    _, outputs = torch_outputs(theirs.vae, lambda: theirs.vae.encode(nchw(images)))
    _, own = flax_outputs(networks.vae, params["vae"], {"images": images}, "encode")
    yield "vae encoder", compare_modules(own, outputs)


def unet_inputs(config: UNetConfig, context: Array, size: tuple[int, int]) -> dict[str, Array]:
    """Noise in the middle of the schedule, with the conditions that the network takes."""
    inputs = {
        "x": normal((1, *size, config.in_channels)),
        "timestep": np.float32([501]),
        "context": context,
    }
    if config.added is not None:
        inputs["pooled"] = normal((1, config.added.pooled_dim))
        ids = [8.0 * size[0], 8.0 * size[1], 0.0, 0.0, 8.0 * size[0], 8.0 * size[1]]
        inputs["time_ids"] = np.float32([ids[: config.added.time_ids]])
    if config.guidance_dim is not None:
        inputs["guidance"] = np.float32([1.5])
    if config.noise_levels is not None:
        inputs["label"] = np.int32([config.noise_levels // 2])
    if config.label_dim is not None:
        inputs["label"] = normal((1, config.label_dim))
    return inputs


def compare_samplers(
    ours: Pipeline,
    theirs: Any,
    samplers: Sequence[str],
    request: Request,
    say: Callable[[str], None],
) -> tuple[list[SamplerErrors], dict[str, str]]:
    """What samplers' runs differ by, and why others cannot draw with this model."""
    runs, left_out = [], {}
    if type(theirs).__name__ not in DRAWS:
        return runs, dict.fromkeys(samplers, f"{type(theirs).__name__} draws from more than texts")
    for sampler in samplers:
        try:
            runs.append(compare_sampler(ours, theirs, sampler, request))
        except ValueError as error:  # such as pndm at zero terminal SNR
            left_out[sampler] = str(error)
        else:
            say(f"{sampler}: {min(runs[-1].psnr):.1f} dB")
    return runs, left_out


def compare_sampler(ours: Pipeline, theirs: Any, sampler: str, request: Request) -> SamplerErrors:
    """Runs a sampler in both from the same noise, or seed, and compares every step and the images.

    Raises:
      ValueError: the sampler can not draw with this model.
    """
    kinds = SCHEDULERS if ours.spec.schedule.edm is None else OF_EDM
    if sampler not in kinds:
        raise ValueError(f"diffusers has no {sampler} for continuous noise")
    scale = ours.spec.vae.downscale
    size = (request.height // scale, request.width // scale)
    noise = None
    if request.seed is None:
        noise = normal((len(request.prompts), *size, ours.spec.vae.latent_channels))
    got, images = our_latents(ours, sampler, request, noise)
    want = their_latents(theirs, kinds[sampler], request, noise)
    with torch.no_grad():
        expected = nhwc(_decoded(theirs.vae, nchw(want[-1])))
    apart = np.abs(to_uint8(images).astype(int) - to_uint8(expected))
    return SamplerErrors(
        sampler,
        steps=[relative_error(a, b) for a, b in zip(got, want, strict=True)],
        psnr=[psnr(a, b) for a, b in zip(images, expected, strict=True)],
        changed=[float((image > 0).mean()) for image in apart],
        furthest=[int(image.max()) for image in apart],
    )


def our_latents(
    pipe: Pipeline, sampler: str, request: Request, noise: Array | None
) -> tuple[list[Array], Array]:
    """Latents after each step, and the decoded images."""
    count = len(request.prompts)
    begun = {"latents": noise}
    if request.seed is not None:
        begun = {"seed": [request.seed + i for i in range(count)], "noise": "torch"}
    order = pipe.order(
        request.prompts,
        request.negatives,
        sampler=sampler,
        steps=request.steps,
        guidance_scale=request.guidance_scale,
        height=request.height,
        width=request.width,
        **begun,
        prompt_weights="none",  # diffusers takes a prompt as plain text
    )
    latents = [np.asarray(shown.state.samples[:count, 0]) for shown in pipe.steps(order)]
    return latents, np.asarray(decode(pipe.networks, pipe.params, latents[-1]))


def their_latents(
    theirs: Any, scheduler: tuple[type, dict[str, Any]], request: Request, noise: Array | None
) -> list[Array]:
    """Latents after each step of diffusers' pipeline."""
    kind, settings = scheduler
    latents = []
    if noise is not None:
        begun = {"latents": nchw(noise)}
    else:
        seeds = [request.seed + i for i in range(len(request.prompts))]
        begun = {"generator": [torch.Generator().manual_seed(seed) for seed in seeds]}

    def keep(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        del pipe, step, timestep
        latents.append(nhwc(tensors["latents"]))
        return tensors

    own = theirs.scheduler
    theirs.scheduler = kind.from_config(own.config, **settings)
    theirs(
        request.prompts,
        # XL's pipelines replace an empty text by zeros, as we do, only where none is given.
        negative_prompt=request.negatives if any(request.negatives) else None,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        height=request.height,
        width=request.width,
        **begun,
        output_type="latent",
        callback_on_step_end=keep,
    )
    theirs.scheduler = own
    return latents


def _decoded(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """What the end of diffusers' pipelines makes of latents [B, c, h, w]."""
    config, own = vae.config, latents / vae.config.scaling_factor
    if config.latents_std is not None:
        mean, std = torch.tensor([config.latents_mean, config.latents_std])
        own = own * std.view(1, -1, 1, 1) + mean.view(1, -1, 1, 1)
    return vae.decode(own).sample


def psnr(got: Array, want: Array) -> float:
    """Decibels of images whose values span 2, from -1 to 1."""
    return float(10 * np.log10(4 / np.square(np.float64(got) - want).mean()))


def normal(shape: tuple[int, ...]) -> Array:
    """The same float32 noise at every call."""
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _text_encoder(theirs: Any, i: int, count: int) -> str:
    """`text_encoder` and `text_encoder_2`; the refiner has the second alone."""
    second = i == 1 or (count == 1 and theirs.components.get("text_encoder") is None)
    return "text_encoder_2" if second else "text_encoder"
