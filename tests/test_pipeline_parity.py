"""Pictures of diffusers' pipelines, from the same tiny weights and the same initial noise."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import diffusers
from module_parity import nchw, nhwc, relative_error
from pipeline_parity import psnr
from tiny_models import TINY, pipeline_params, uniform

import jaxsd
from jaxsd.convert import write_diffusers
from jaxsd.pipeline import Pipeline
from jaxsd.sampling.program import Drawing

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

SAMPLERS = {
    "ddim": diffusers.DDIMScheduler,
    "pndm": diffusers.PNDMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "dpm++_2m": diffusers.DPMSolverMultistepScheduler,
}
PROMPTS = ["a red apple", "A photograph of an astronaut riding a horse, oil on canvas (1889)"]
NEGATIVES = ["blurry", "low quality, worst quality"]
NOISE = uniform("initial noise", (2, 8, 9, 4))  # 64 x 72 pixels
STEPS = 20
DECIBELS = 60.0
"""The least PSNR of the decoded images."""

diffusers.logging.set_verbosity_error()
torch.set_num_threads(1)


@dataclass(frozen=True)
class Pair:
    """One model in both libraries, and the scheduler settings of its files."""

    ours: Pipeline
    theirs: diffusers.DiffusionPipeline
    settings: dict[str, Any]


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A tiny model with CLIP's vocabulary, written once and read by both."""
    tiny = TINY[request.param]
    pads = [config.pad_token and 49407 for config in tiny.text]
    text = [
        replace(config, vocab_size=49408, pad_token=pad)
        for config, pad in zip(tiny.text, pads, strict=True)
    ]
    spec = replace(tiny, text=tuple(text))
    folder = tmp_path_factory.mktemp("models") / request.param
    write_diffusers(folder, spec, pipeline_params(spec))
    theirs = diffusers.DiffusionPipeline.from_pretrained(folder)
    theirs.set_progress_bar_config(disable=True)
    return Pair(jaxsd.load(folder), theirs, dict(theirs.scheduler.config))


def draw_theirs(pair: Pair, sampler: str, **options: Any) -> torch.Tensor:
    """The final latents [B, c, h, w] of diffusers' pipeline."""
    pair.theirs.scheduler = SAMPLERS[sampler].from_config(pair.settings)
    return pair.theirs(
        PROMPTS,
        num_inference_steps=STEPS,
        latents=nchw(NOISE),
        height=64,
        width=72,
        output_type="latent",
        **options,
    ).images


def draw_ours(pair: Pair, sampler: str, negative_prompt: Any = "", **options: Any) -> Drawing:
    return pair.ours.draw(
        PROMPTS,
        negative_prompt,
        steps=STEPS,
        sampler=sampler,
        latents=NOISE,
        height=64,
        width=72,
        **options,
    )


def row_by_row(done: int, rows: int) -> None:
    """A progress callback: the rows are then one small program, the same for every sampler."""


def assert_same_pictures(ours: Drawing, pair: Pair, latents: torch.Tensor) -> None:
    """Compares latents, and decoded images before they are clipped and rounded."""
    vae = pair.theirs.vae
    with torch.no_grad():
        images = nhwc(vae.decode(latents / vae.config.scaling_factor).sample)
    assert 0.1 < images.std() < 2  # something is to be seen
    assert psnr(ours.images, images) >= DECIBELS
    assert relative_error(ours.latents, nhwc(latents)) <= 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("pair", ["sd1", "sd2-v", "sdxl"], indirect=True)
def test_guidance_and_negative_prompts(pair: Pair, sampler: str) -> None:
    want = draw_theirs(pair, sampler, negative_prompt=NEGATIVES, guidance_scale=7.5)
    got = draw_ours(pair, sampler, NEGATIVES, guidance_scale=7.5, progress=row_by_row)
    assert_same_pictures(got, pair, want)


@pytest.mark.parametrize("pair", ["sdxl"], indirect=True)
def test_no_negative_prompt_is_zeros_for_xl(pair: Pair) -> None:
    want = draw_theirs(pair, "euler", guidance_scale=5.0)
    got = draw_ours(pair, "euler", guidance_scale=5.0, progress=row_by_row)
    assert_same_pictures(got, pair, want)


@pytest.mark.parametrize("pair", ["sd1"], indirect=True)
def test_no_guidance_in_one_program(pair: Pair) -> None:
    want = draw_theirs(pair, "ddim", guidance_scale=1.0)
    assert_same_pictures(draw_ours(pair, "ddim", guidance_scale=1.0), pair, want)
