"""Inpainting against diffusers' pipelines: the same picture, mask, noise and tiny weights.

Models of 4 channels blend in every step, those of 9 see the mask and the masked picture. diffusers
rounds soft masks for both; here they are rounded for the latter alone, whose masks are soft below.
"""

import itertools
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLInpaintPipeline,
)
from diffusers_pairs import (
    HEIGHT,
    NOISE,
    SAMPLERS,
    WIDTH,
    assert_same_pictures,
    draw_theirs,
    drawn,
    masks,
    noise_given,
    order_of,
    pair_of,
    pictures,
    pil,
    rarely,
)

from jaxsd.parity.modules import nchw
from jaxsd.sampling.latents import MASKED, SOURCE

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

EVERY = [*itertools.product(["sd1", "sd1-inpainting"], SAMPLERS, [0.6, 1.0])]
RARE = [*itertools.product(["sd2-inpainting", "sdxl", "sdxl-inpainting"], SAMPLERS, [0.6, 1.0])]


@pytest.mark.parametrize(("family", "sampler", "strength"), EVERY + rarely(RARE))
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


def test_grey_places_change_late() -> None:
    """Differential diffusion: the rule of diffusers' community pipeline around diffusers' steps.

    Before step i of N the source is put back, noised, where 1 - mask is more than i / N.
    """
    pair, image = pair_of("sd1"), pictures("source")
    grey = np.tile(np.linspace(0, 255, WIDTH // 8).astype(np.uint8).repeat(8), (HEIGHT, 1))
    options = {"strength": 0.8, "guidance_scale": 5.0}
    own = {"mask": [grey, grey], "mask_blur": 0.0, "differential": True}
    order = order_of(pair, "ddim", image=image, **own, **options)
    kind, vae = StableDiffusionImg2ImgPipeline, pair.theirs.vae
    with noise_given(kind, [SOURCE]), torch.no_grad():
        pixels = nchw(np.stack(image).astype(np.float32) / 127.5 - 1)
        source = vae.encode(pixels).latent_dist.sample() * vae.config.scaling_factor
    kept = 1 - torch.from_numpy(grey[::8, ::8].astype(np.float32) / 255)

    def put_back(pipe: Any, i: int, timestep: int, tensors: dict[str, Any]) -> dict[str, Any]:
        scheduler = pipe.scheduler
        timesteps = scheduler.timesteps[-pipe._num_timesteps :]
        if i + 1 == len(timesteps):
            return {}
        noised = scheduler.add_noise(source, nchw(NOISE), timesteps[i + 1 : i + 2])
        stays = kept > (i + 1) / len(timesteps)
        return {"latents": torch.where(stays, noised, tensors["latents"])}

    told = {"image": pil(image), "callback_on_step_end": put_back}
    want = draw_theirs(pair, kind, "ddim", purposes=[SOURCE], **told, **options)
    assert_same_pictures(drawn(pair, order), pair, want)
