"""InstructPix2Pix against diffusers: two scales, three branches, the picture unscaled."""

import pytest

torch = pytest.importorskip("torch")

from diffusers import StableDiffusionInstructPix2PixPipeline
from diffusers_pairs import (
    assert_same_pictures,
    draw_theirs,
    drawn,
    order_of,
    pair_of,
    pictures,
    pil,
)

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.mark.parametrize(
    ("sampler", "scale", "of_picture"), [("ddim", 7.5, 1.5), ("euler", 5.0, 3.0)]
)
def test_changed_as_told(sampler: str, scale: float, of_picture: float) -> None:
    pair, image = pair_of("sd1-pix2pix"), pictures("source")
    assert type(pair.theirs) is StableDiffusionInstructPix2PixPipeline
    options = {"guidance_scale": scale, "image_guidance_scale": of_picture}
    want = draw_theirs(
        pair, StableDiffusionInstructPix2PixPipeline, sampler, image=pil(image), **options
    )
    order = order_of(pair, sampler, image=image, **options)
    assert_same_pictures(drawn(pair, order), pair, want)
