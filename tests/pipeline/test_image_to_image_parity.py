"""Image to image against diffusers' pipelines: the same picture, noise and tiny weights.

With strength 1 the two differ on purpose, so it is not here: diffusers begins from the picture at
the first level, where little of it is left; here, as for inpainting there, from noise alone.
"""

import itertools

import pytest

torch = pytest.importorskip("torch")

from diffusers import (
    PNDMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionXLImg2ImgPipeline,
)
from diffusers_pairs import (
    NOISE,
    SAMPLERS,
    assert_same_pictures,
    draw_theirs,
    drawn,
    order_of,
    pair_of,
    pictures,
    pil,
    plms_timesteps,
    rarely,
)
from diffusers_runs import scheduler
from tiny_models import uniform

from jaxsd.parity.modules import nchw, relative_error
from jaxsd.sampling.latents import SOURCE

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

EVERY = [*itertools.product(["sd1", "sd2-v"], SAMPLERS, [0.5, 0.8])]
SOME = [("sd2", "ddim", 0.5), ("sd2", "dpm++_2m", 0.8), ("sdxl-refiner", "euler", 0.3)]
RARE = rarely([("sdxl", "ddim", 0.5), ("sdxl", "dpm++_2m", 0.8)])


@pytest.mark.parametrize(("family", "sampler", "strength"), EVERY + SOME + RARE)
def test_pictures_from_pictures(family: str, sampler: str, strength: float) -> None:
    pair = pair_of(family)
    # Another size than is drawn: ours is fitted to that, and diffusers is given the fitted one.
    image = pictures("source", 100, 80)
    options = {"strength": strength, "guidance_scale": 5.0}
    order = order_of(pair, sampler, image=image, **options)
    xl = family.startswith("sdxl")
    want = draw_theirs(
        pair,
        StableDiffusionXLImg2ImgPipeline if xl else StableDiffusionImg2ImgPipeline,
        sampler,
        purposes=[SOURCE],
        image=pil([canvas.image for canvas in order.canvases]),
        **options,
    )
    assert_same_pictures(drawn(pair, order), pair, want)


def test_diffusers_cuts_plms_wrongly() -> None:
    """The end is known where every prediction is the true noise: the picture at the last level.

    With `plms_timesteps` diffusers' scheduler comes out there, and with the list that its pipelines
    cut it does not: they give it timesteps of levels 9, 10, 11, 12, ..., of which it crosses the
    first interval twice, and so is at level 10 when the third tells it to go from 11 to 12.
    """
    plms, steps, strength = scheduler("pndm", "epsilon"), 20, 0.5
    assert isinstance(plms, PNDMScheduler)
    picture, noise = nchw(uniform("picture", NOISE.shape)), nchw(NOISE)
    last = torch.zeros(1, dtype=torch.int64)

    def end(timesteps: torch.Tensor) -> torch.Tensor:
        plms.set_timesteps(steps)
        sample = plms.add_noise(picture, noise, timesteps[:1])
        for timestep in timesteps:
            sample = plms.step(noise, timestep, sample).prev_sample
        return sample

    plms.set_timesteps(steps)
    whole = plms.timesteps
    assert torch.equal(plms_timesteps(plms, steps, 1.0)[0], whole)
    want = plms.add_noise(picture, noise, last)
    right, _ = plms_timesteps(plms, steps, strength)
    wrong = whole[steps - int(steps * strength) :]
    assert len(right) == len(wrong) == 11
    errors = [
        relative_error(end(timesteps).numpy(), want.numpy()) for timesteps in (whole, right, wrong)
    ]
    assert max(errors[:2]) < 1e-5
    assert errors[2] > 0.05, errors
