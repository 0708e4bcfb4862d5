"""Compares a whole model with its twin in diffusers: every module, every step, every image.

Used by tools/parity.py; needs the extra [parity].
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import numpy as np
import torch
from module_parity import (
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

import jaxsd
from jaxsd.config import UNetConfig
from jaxsd.images import to_uint8
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

DRAWS = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
"""Pipelines that need only texts, so that steps and images can be compared."""


class Request(NamedTuple):
    """What both are asked to draw."""

    prompts: list[str]
    negatives: list[str]
    guidance_scale: float
    steps: int
    height: int
    width: int


class SamplerErrors(NamedTuple):
    """How far one sampler's run is from diffusers'."""

    sampler: str
    steps: list[float]  # of the latents after each step, over their largest value
    psnr: list[float]  # of each decoded image before clipping and rounding, decibels
    changed: list[float]  # of each image, the share of 8-bit values that differ
    furthest: list[int]  # of each image, the largest difference of 8-bit values


def open_both(folder: Path, against: Path) -> tuple[Pipeline, Any]:
    """A diffusers folder in jaxsd, and one in diffusers, both in float32."""
    theirs = diffusers.DiffusionPipeline.from_pretrained(
        against, torch_dtype=torch.float32, safety_checker=None, local_files_only=True
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

    size = (request.height // spec.vae.downscale, request.width // spec.vae.downscale)
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
    return inputs


def compare_sampler(ours: Pipeline, theirs: Any, sampler: str, request: Request) -> SamplerErrors:
    """Runs a sampler in both from the same noise and compares every step and the images.

    Raises:
      ValueError: the sampler can not draw with this model.
    """
    scale = ours.spec.vae.downscale
    size = (request.height // scale, request.width // scale)
    noise = normal((len(request.prompts), *size, ours.spec.vae.latent_channels))
    got, images = our_latents(ours, sampler, request, noise)
    want = their_latents(theirs, sampler, request, noise)
    with torch.no_grad():
        unscaled = nchw(want[-1]) / theirs.vae.config.scaling_factor
        expected = nhwc(theirs.vae.decode(unscaled).sample)
    apart = np.abs(to_uint8(images).astype(int) - to_uint8(expected))
    return SamplerErrors(
        sampler,
        steps=[relative_error(a, b) for a, b in zip(got, want, strict=True)],
        psnr=[psnr(a, b) for a, b in zip(images, expected, strict=True)],
        changed=[float((image > 0).mean()) for image in apart],
        furthest=[int(image.max()) for image in apart],
    )


def our_latents(
    pipe: Pipeline, sampler: str, request: Request, noise: Array
) -> tuple[list[Array], Array]:
    """Latents after each step, and the decoded images."""
    count = len(request.prompts)
    order = pipe.order(
        request.prompts,
        request.negatives,
        sampler=sampler,
        steps=request.steps,
        guidance_scale=request.guidance_scale,
        latents=noise,
        prompt_weights="none",  # diffusers takes a prompt as plain text
    )
    latents = [np.asarray(shown.state.samples[:count, 0]) for shown in pipe.steps(order)]
    return latents, np.asarray(decode(pipe.networks, pipe.params, latents[-1]))


def their_latents(theirs: Any, sampler: str, request: Request, noise: Array) -> list[Array]:
    """Latents after each step of diffusers' pipeline."""
    kind, settings = SCHEDULERS[sampler]
    latents = []

    def keep(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        del pipe, step, timestep
        latents.append(nhwc(tensors["latents"]))
        return tensors

    own = theirs.scheduler
    theirs.scheduler = kind.from_config(own.config, **settings)
    theirs(
        request.prompts,
        negative_prompt=request.negatives,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        height=request.height,
        width=request.width,
        latents=nchw(noise),
        output_type="latent",
        callback_on_step_end=keep,
    )
    theirs.scheduler = own
    return latents


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
