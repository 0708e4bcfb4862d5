"""CosXL and Playground 2.5 against diffusers: continuous noise, latents with mean and deviation."""

import pytest

torch = pytest.importorskip("torch")

from diffusers import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    StableDiffusionXLPipeline,
)
from diffusers_pairs import (
    assert_same_latents,
    assert_same_pictures,
    draw_theirs,
    drawn,
    order_of,
    pair_of,
    pictures,
    pil,
)

from jaxsd.sampling.latents import SOURCE

pytestmark = [pytest.mark.release, pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.mark.parametrize(("family", "sampler"), [("cosxl", "euler"), ("playground", "dpm++_2m")])
def test_drawn_from_noise(family: str, sampler: str) -> None:
    pair = pair_of(family)
    want = draw_theirs(pair, StableDiffusionXLPipeline, sampler, guidance_scale=3.0)
    order = order_of(pair, sampler, guidance_scale=3.0)
    assert_same_pictures(drawn(pair, order), pair, want)


def test_changed_as_told() -> None:
    """CosXL-Edit, whose picture is scaled as the latents are. diffusers' `from_pipe` forgets it."""
    pair, image = pair_of("cosxl-pix2pix"), pictures("source")
    kind, parts = StableDiffusionXLInstructPix2PixPipeline, {"is_cosxl_edit": True}
    assert type(pair.theirs) is kind
    assert pair.theirs.is_cosxl_edit
    options = {"guidance_scale": 5.0, "image_guidance_scale": 1.5}
    want = draw_theirs(pair, kind, "euler", parts=parts, image=pil(image), **options)
    assert_same_latents(pair, order_of(pair, "euler", image=image, **options), want)


def test_from_a_picture() -> None:
    """Its latents are those less their mean, over their deviation."""
    pair, image = pair_of("playground"), pictures("source")
    options = {"guidance_scale": 3.0, "strength": 0.4}
    kind = StableDiffusionXLImg2ImgPipeline
    want = draw_theirs(pair, kind, "dpm++_2m", purposes=[SOURCE], image=pil(image), **options)
    assert_same_latents(pair, order_of(pair, "dpm++_2m", image=image, **options), want)
