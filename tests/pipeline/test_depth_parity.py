"""Depth-to-image against diffusers, from a picture and a map of its depth."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diffusers import StableDiffusionDepth2ImgPipeline
from diffusers_pairs import (
    assert_same_pictures,
    draw_theirs,
    drawn,
    order_of,
    pair_of,
    pictures,
    pil,
)

from jaxsd.sampling.latents import SOURCE

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.mark.parametrize(("sampler", "strength"), [("ddim", 0.8), ("euler", 0.5)])
def test_drawn_over_by_depth(sampler: str, strength: float) -> None:
    pair, image = pair_of("sd2-depth"), pictures("source")
    assert type(pair.theirs) is StableDiffusionDepth2ImgPipeline
    depth = [one[..., 0] for one in pictures("depth")]
    options = {"guidance_scale": 7.5, "strength": strength}
    want = draw_theirs(
        pair,
        StableDiffusionDepth2ImgPipeline,
        sampler,
        purposes=[SOURCE],
        image=pil(image),
        depth_map=torch.from_numpy(np.float32(depth)),
        **options,
    )
    order = order_of(pair, sampler, image=image, depth=depth, **options)
    assert_same_pictures(drawn(pair, order), pair, want)
