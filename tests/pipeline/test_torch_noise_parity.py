"""The picture of diffusers from the seed alone: nothing of ours is given to it, nor the reverse."""

from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import diffusers
from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
)
from diffusers_pairs import (
    HEIGHT,
    NEGATIVES,
    PROMPTS,
    WIDTH,
    assert_same_pictures,
    drawn,
    pair_of,
    pictures,
    pil,
)

from jaxsd.settings import Settings

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

CLASSES = {
    "ddim": diffusers.DDIMScheduler,
    "ddpm": diffusers.DDPMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "euler_a": diffusers.EulerAncestralDiscreteScheduler,
    "dpm++_2m_sde": diffusers.DPMSolverMultistepScheduler,
}
SEED, STEPS = 42, 5


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(SEED + i) for i in range(count)]


def asked(**options: Any) -> list[Settings]:
    """The same of both prompts, with seeds that follow each other."""
    size = {"height": HEIGHT, "width": WIDTH, "steps": STEPS, "noise": "torch"}
    size |= {"prompt_weights": "none"}  # a prompt has brackets, which are text for diffusers
    return [
        Settings(prompt, negative, seed=SEED + i, **size | options)
        for i, (prompt, negative) in enumerate(zip(PROMPTS, NEGATIVES, strict=True))
    ]


def theirs(kind: type, sampler: str, generator: Any, **options: Any) -> torch.Tensor:
    """The latents of a pipeline of diffusers."""
    pipe = kind.from_pipe(pair_of("sd1").theirs)
    pipe.set_progress_bar_config(disable=True)
    more = {"algorithm_type": "sde-dpmsolver++"} if sampler.endswith("sde") else {}
    pipe.scheduler = CLASSES[sampler].from_config(pair_of("sd1").settings, **more)
    told = {"negative_prompt": NEGATIVES, "num_inference_steps": STEPS, "output_type": "latent"}
    return pipe(PROMPTS, generator=generator, **told | options).images


@pytest.mark.parametrize(
    ("sampler", "options"),
    [("euler", {}), ("ddim", {"eta": 0.8}), ("ddpm", {}), ("dpm++_2m_sde", {})],
)
def test_from_a_seed_alone(sampler: str, options: dict[str, float]) -> None:
    """Also with samplers that draw noise in every step, from the same generator."""
    pair, size = pair_of("sd1"), {"height": HEIGHT, "width": WIDTH}
    want = theirs(StableDiffusionPipeline, sampler, generators(2), **size | options)
    order = pair.ours.order(asked(sampler=sampler), **options)
    assert_same_pictures(drawn(pair, order), pair, want)


def test_a_batch_of_one_seed() -> None:
    """As ComfyUI begins it too: one draw for all images, and in each step one for all."""
    pair, size = pair_of("sd1"), {"height": HEIGHT, "width": WIDTH}
    want = theirs(StableDiffusionPipeline, "euler_a", generators(1)[0], **size)
    places = [
        replace(one, seed=SEED, batch_place=(i, 2))
        for i, one in enumerate(asked(sampler="euler_a"))
    ]
    assert_same_pictures(drawn(pair, pair.ours.order(places)), pair, want)


def test_picture_to_picture() -> None:
    """The first draw is the one from the autoencoder's posterior."""
    pair = pair_of("sd1")
    image = pictures("source")
    kind = StableDiffusionImg2ImgPipeline
    want = theirs(kind, "euler_a", generators(2), image=pil(image), strength=0.8)
    order = pair.ours.order(asked(sampler="euler_a"), image=image, strength=0.8)
    assert_same_pictures(drawn(pair, order), pair, want)
