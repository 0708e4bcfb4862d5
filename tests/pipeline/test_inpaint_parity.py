"""Inpainting against diffusers' pipelines: the same picture, mask, noise and tiny weights.

Models of 4 channels blend in every step, those of 9 see the mask and the masked picture. diffusers
rounds soft masks for both; here they are rounded for the latter alone, whose masks are soft below.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diffusers import StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline
from diffusers_pairs import (
    SAMPLERS,
    assert_same_pictures,
    draw_theirs,
    drawn,
    masks,
    order_of,
    pair_of,
    pictures,
    pil,
)

from jaxsd.sampling.latents import MASKED, SOURCE

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

FAMILIES = ["sd1", "sd1-inpainting", "sd2-inpainting", "sdxl", "sdxl-inpainting"]


@pytest.mark.parametrize("strength", [0.6, 1.0])
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_painted_over(family: str, sampler: str, strength: float) -> None:
    pair, image = pair_of(family), pictures("source")
    xl, sees_mask = family.startswith("sdxl"), family.endswith("inpainting")
    options = {"strength": strength, "guidance_scale": 5.0}
    over = {"mask": masks(), "mask_blur": 2.0 if sees_mask else 0.0}
    order = order_of(pair, sampler, image=image, **over, **options)
    soft = [np.uint8(np.round(255 * canvas.mask)) for canvas in order.canvases]
    want = draw_theirs(
        pair,
        StableDiffusionXLInpaintPipeline if xl else StableDiffusionInpaintPipeline,
        sampler,
        # A model that sees the mask needs the source only to begin from it.
        purposes=[MASKED] if sees_mask and strength == 1 else [SOURCE, MASKED],
        image=pil(image),
        mask_image=pil(soft),
        **options,
    )
    assert_same_pictures(drawn(pair, order), pair, want)
