"""Pictures of diffusers' pipelines, from the same tiny weights and the same initial noise."""

import pytest

torch = pytest.importorskip("torch")

import diffusers_pairs
import numpy as np
from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from diffusers_pairs import (
    HEIGHT,
    SAMPLERS,
    WIDTH,
    assert_same_pictures,
    draw_theirs,
    drawn,
    order_of,
    pair_of,
)

from jaxsd.pipeline.batches import image_keys
from jaxsd.sampling.latents import INITIAL_NOISE, noise_of

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("family", ["sd1", "sd2-v", "sdxl"])
def test_guidance_and_negative_prompts(family: str, sampler: str) -> None:
    pair = pair_of(family)
    kind = StableDiffusionXLPipeline if family == "sdxl" else StableDiffusionPipeline
    want = draw_theirs(pair, kind, sampler, guidance_scale=7.5)
    order = order_of(pair, sampler, guidance_scale=7.5)
    assert_same_pictures(drawn(pair, order), pair, want)


def test_no_negative_prompt_is_zeros_for_xl() -> None:
    pair = pair_of("sdxl")
    options = {"negative_prompt": None, "guidance_scale": 5.0}
    want = draw_theirs(pair, StableDiffusionXLPipeline, "euler", **options)
    assert_same_pictures(drawn(pair, order_of(pair, "euler", **options)), pair, want)


def test_guidance_rescale() -> None:
    pair = pair_of("sd2-v")
    options = {"guidance_scale": 7.5, "guidance_rescale": 0.7}
    want = draw_theirs(pair, StableDiffusionPipeline, "ddim", **options)
    assert_same_pictures(drawn(pair, order_of(pair, "ddim", **options)), pair, want)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_no_guidance_in_one_program(scale: float) -> None:
    pair = pair_of("sd1")
    want = draw_theirs(pair, StableDiffusionPipeline, "ddim", guidance_scale=scale)
    order = order_of(pair, "ddim", guidance_scale=scale)
    assert_same_pictures(pair.ours.drawn(order), pair, want)


def test_latents_are_enlarged_as_webui_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = pair_of("sd1")
    large = (HEIGHT * 2, WIDTH * 2)
    hires = {"hires": 2.0, "hires_strength": 0.5, "hires_steps": 4}
    order = order_of(pair, "euler", steps=2, guidance_scale=7.5, **hires)
    small = draw_theirs(pair, StableDiffusionPipeline, "euler", num_inference_steps=2)
    # webui's "Latent".
    options = {"size": tuple(side // 8 for side in large), "mode": "bilinear", "antialias": False}
    enlarged = torch.nn.functional.interpolate(small, **options)
    noise = noise_of(image_keys([0, 1]), INITIAL_NOISE, (*options["size"], 4))
    monkeypatch.setattr(diffusers_pairs, "NOISE", np.asarray(noise))
    told = {"image": enlarged, "strength": 0.5, "num_inference_steps": 4}
    want = draw_theirs(pair, StableDiffusionImg2ImgPipeline, "euler", **told)
    assert_same_pictures(drawn(pair, order), pair, want)
