"""The same tiny models here and in diffusers' pipelines, which are given the noise that is ours."""

import contextlib
import functools
import inspect
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from tiny_models import TINY, pipeline_params, uniform

import jaxsd
from jaxsd import families
from jaxsd.config import ModelSpec, ScheduleConfig, SightConfig, VisionConfig
from jaxsd.convert import write_diffusers
from jaxsd.parity.modules import nchw, nhwc, relative_error
from jaxsd.parity.pipelines import psnr
from jaxsd.pipeline import Order, Pipeline
from jaxsd.pipeline.batches import image_keys
from jaxsd.sampling.latents import noise_of
from jaxsd.sampling.program import Drawing

diffusers.logging.set_verbosity_error()
torch.set_num_threads(1)

SAMPLERS = {
    "ddim": diffusers.DDIMScheduler,
    "pndm": diffusers.PNDMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "dpm++_2m": diffusers.DPMSolverMultistepScheduler,
}
OF_EDM = {
    "euler": diffusers.EDMEulerScheduler,
    "dpm++_2m": diffusers.EDMDPMSolverMultistepScheduler,
}
"""The same for models with continuous noise."""
STEPS = 10
DECIBELS = 100.0
"""The least PSNR of the decoded images. float32 gives about 125."""
TOLERANCE = 1e-4
"""Of latents, relative to the largest."""
HEIGHT, WIDTH = 64, 72
PROMPTS = ["a red apple", "A photograph of an astronaut riding a horse, oil on canvas (1889)"]
NEGATIVES = ["blurry", "low quality, worst quality"]
NOISE = uniform("initial noise", (2, HEIGHT // 8, WIDTH // 8, 4))


def shallow(spec: ModelSpec) -> ModelSpec:
    """With one block of the U-Net, for less to compile: the first that has attention."""
    level = next(level for level in spec.unet.levels if level.attention_depth)
    unet = replace(spec.unet, levels=(replace(level, resnets=1, attention_depth=1),), mid_depth=1)
    return replace(spec, unet=unet)


SPECS = {family: shallow(spec) for family, spec in TINY.items()}
SPECS |= {f"{name}-inpainting": families.inpainting(SPECS[name]) for name in ("sd2", "sdxl")}
SPECS["sd1-pix2pix"] = families.pix2pix(SPECS["sd1"])
SPECS["x4"] = replace(
    SPECS["sd2"],
    unet=replace(
        SPECS["sd2"].unet,
        levels=(replace(SPECS["sd2"].unet.levels[0], self_attends=False),),
        in_channels=7,
        noise_levels=64,
    ),
    vae=replace(SPECS["sd2"].vae, channels=(16, 16, 32), scaling_factor=0.08333),
    schedule=families.X4.schedule,
    prediction="v",
    small=replace(families.X4.small, most=50),
)
SPECS["cosxl"] = replace(SPECS["sdxl"], schedule=families.COSXL.schedule, prediction="v")
SPECS["cosxl-pix2pix"] = families.pix2pix(SPECS["cosxl"])
SPECS["playground"] = replace(
    SPECS["sdxl"],
    schedule=families.PLAYGROUND.schedule,
    vae=replace(
        SPECS["sdxl"].vae,
        scaling_factor=0.5,
        latents_mean=families.VAE_PLAYGROUND.latents_mean,
        latents_std=families.VAE_PLAYGROUND.latents_std,
    ),
)
VISION = VisionConfig(
    width=24,
    layers=2,
    heads=3,
    mlp_width=40,
    activation="gelu",
    image_size=32,
    patch_size=8,
    projection_dim=16,
)
SPECS["unclip"] = replace(
    SPECS["sd2-v"],
    unet=replace(SPECS["sd2-v"].unet, label_dim=32),
    sight=SightConfig(VISION, ScheduleConfig(beta_schedule="squaredcos_cap_v2")),
)
SPECS["variation"] = replace(
    SPECS["sd1"],
    text=(),
    unet=replace(SPECS["sd1"].unet, context_dim=16),
    sight=SightConfig(VISION),
)
SPECS["sd2-depth"] = families.depth(SPECS["sd2"])


def rarely(cases: Iterable[tuple]) -> list[Any]:
    """Cases of a test that wait for a release, since others show the same."""
    return [pytest.param(*case, marks=pytest.mark.release) for case in cases]


@dataclass(frozen=True)
class Pair:
    """One model in both libraries, and the scheduler settings of its files."""

    ours: Pipeline
    theirs: diffusers.DiffusionPipeline
    settings: dict[str, Any]


@functools.cache
def pair_of(family: str) -> Pair:
    """A tiny model with CLIP's vocabulary, written once and read by both."""
    tiny = SPECS[family]
    pads = [config.pad_token and 49407 for config in tiny.text]
    text = [
        replace(config, vocab_size=49408, pad_token=pad)
        for config, pad in zip(tiny.text, pads, strict=True)
    ]
    spec = replace(tiny, text=tuple(text))
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / family
        write_diffusers(folder, spec, pipeline_params(spec))
        absent = {"depth_estimator": None, "feature_extractor": None}
        parts = absent if tiny.unet.sees == "depth" else {}
        theirs = diffusers.DiffusionPipeline.from_pretrained(folder, **parts)
        return Pair(jaxsd.load(folder), theirs, dict(theirs.scheduler.config))


def order_of(pair: Pair, sampler: str, **options: Any) -> Order:
    """What is asked of ours: `PROMPTS`, from `NOISE`."""
    size = {"height": HEIGHT, "width": WIDTH}
    told = {"negative_prompt": NEGATIVES, "steps": STEPS, "sampler": sampler, "latents": NOISE}
    told |= {"prompt_weights": "none"}  # a prompt has brackets, which are text for diffusers
    return pair.ours.order(PROMPTS, **told | size | options)


def drawn(pair: Pair, order: Order) -> Drawing:
    """Row by row: the rows are then one small program, the same for every sampler."""
    return pair.ours.drawn(order, lambda done, rows: None)


def draw_theirs(
    pair: Pair,
    kind: type,
    sampler: str,
    *,
    purposes: Sequence[int] = (),
    parts: dict[str, Any] | None = None,
    **options: Any,
) -> torch.Tensor:
    """The final latents [B, c, h, w] of a pipeline of diffusers.

    Args:
      pair: the model.
      kind: class of the pipeline.
      sampler: a name of `SAMPLERS`.
      purposes: what the draws from the autoencoder's posterior are for, in diffusers' order.
      parts: networks that the model itself does not have.
      **options: of the pipeline.
    """
    pipe = kind.from_pipe(pair.theirs, **parts or {})
    pipe.set_progress_bar_config(disable=True)
    classes = SAMPLERS if pair.ours.spec.schedule.edm is None else OF_EDM
    pipe.scheduler = classes[sampler].from_config(pair.settings)
    if sampler == "pndm" and hasattr(pipe, "get_timesteps"):
        pipe.get_timesteps = functools.partial(plms_timesteps, pipe.scheduler)
    told = {"negative_prompt": NEGATIVES, "num_inference_steps": STEPS, "output_type": "latent"}
    if "height" in inspect.signature(kind.__call__).parameters:  # others have the picture's size
        told |= {"height": HEIGHT, "width": WIDTH}
    with noise_given(kind, purposes):
        return pipe(prompt=PROMPTS, **told | options).images


def plms_timesteps(
    scheduler: diffusers.PNDMScheduler,
    num_inference_steps: int,
    strength: float,
    *_: Any,
    **__: Any,
) -> tuple[torch.Tensor, int]:
    """What `get_timesteps` of diffusers' pipelines ought to give for their PNDM.

    `PNDMScheduler.step` crosses the first interval twice and counts its calls to know when, so the
    second of its timesteps must come twice. In the list of a whole drawing it does. The pipelines
    cut that list, and what is left is the one of a drawing without the second look: from its third
    call on the scheduler takes the sample for one that is an interval further than it is. See
    `test_diffusers_cuts_plms_wrongly`.
    """
    levels = scheduler.timesteps.unique().flip(0)
    left = levels[num_inference_steps - int(num_inference_steps * strength) :]
    return torch.cat([left[:2], left[1:]]), len(left)


@contextlib.contextmanager
def noise_given(kind: type, purposes: Sequence[int]) -> Iterator[None]:
    """Makes a pipeline begin with `NOISE`, and draw from posteriors with the noise of our keys."""
    left = list(purposes)

    def sample(posterior: DiagonalGaussianDistribution, generator: Any = None) -> torch.Tensor:
        noise = nchw(np.asarray(noise_of(image_keys(range(2)), left.pop(0), NOISE.shape[1:])))
        return posterior.mean + posterior.std * noise

    module = sys.modules[kind.__module__]
    with (
        mock.patch.object(DiagonalGaussianDistribution, "sample", sample),
        mock.patch.object(module, "randn_tensor", return_value=nchw(NOISE)),
    ):
        yield
    assert not left, "diffusers drew from fewer posteriors"


def pictures(name: str, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray]:
    """A picture for each prompt, uint8 [H, W, 3]: waves of colour with some grain."""
    made = []
    for i in range(len(PROMPTS)):
        y, x = np.mgrid[:height, :width] / 10
        waves = np.stack([np.sin(x + i), np.cos(y - i), np.sin(x + y)], axis=-1)
        grain = uniform(f"{name} {i}", (height, width, 3))
        made.append(np.uint8(np.clip(127.5 + 90 * waves + 10 * grain, 0, 255)))
    return made


def masks() -> list[np.ndarray]:
    """A hard mask for each prompt, whose borders are not those of latent pixels."""
    each = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    each[0, 13:50, 21:60] = 255
    each[1, :, :35] = 255
    return [*each]


def pil(arrays: Sequence[np.ndarray]) -> list[Image.Image]:
    """Pictures as diffusers' pipelines take them."""
    return [Image.fromarray(array) for array in arrays]


def assert_same_latents(pair: Pair, order: Order, latents: torch.Tensor) -> None:
    """Draws an order, and compares latents, and what diffusers' autoencoder makes of both.

    Nothing is compiled to decode ours.
    """
    *_, last = pair.ours.steps(order)
    got, vae = np.asarray(last.state.samples[:, 0]), pair.theirs.vae
    with torch.no_grad():
        images = [nhwc(decoded(vae, own)) for own in (nchw(got), latents)]
    assert 0.1 < images[1].std() < 2  # something is to be seen
    print(f"{psnr(*images):.1f} dB")
    assert psnr(*images) >= DECIBELS
    assert relative_error(got, nhwc(latents)) <= TOLERANCE


def assert_same_pictures(ours: Drawing, pair: Pair, latents: torch.Tensor) -> None:
    """Compares latents, and decoded images before they are clipped and rounded."""
    vae = pair.theirs.vae
    with torch.no_grad():
        images = nhwc(decoded(vae, latents))
    assert 0.1 < images.std() < 2  # something is to be seen
    print(f"{psnr(ours.images, images):.1f} dB")
    assert psnr(ours.images, images) >= DECIBELS
    assert relative_error(ours.latents, nhwc(latents)) <= TOLERANCE


def decoded(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """What the end of diffusers' pipelines makes of latents [B, c, h, w]."""
    own = latents / vae.config.scaling_factor
    if vae.config.latents_std is not None:
        mean, std = torch.tensor([vae.config.latents_mean, vae.config.latents_std])
        own = own * std.view(1, -1, 1, 1) + mean.view(1, -1, 1, 1)
    return vae.decode(own).sample
