"""Pictures of diffusers' pipelines, from the same tiny weights and the same initial noise."""

import pytest

torch = pytest.importorskip("torch")

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers_pairs import (
    SAMPLERS,
    assert_same_pictures,
    draw_theirs,
    drawn,
    order_of,
    pair_of,
)

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
