"""XL and its refiner against diffusers' `denoising_end` and `denoising_start`."""

import pytest

torch = pytest.importorskip("torch")

from dataclasses import replace

from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from diffusers_pairs import assert_same_pictures, draw_theirs, drawn, order_of, pair_of

from jaxsd.convert import write_diffusers
from jaxsd.pipeline import with_refiner

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.mark.parametrize("sampler", ["euler", "dpm++_2m"])
def test_handed_over(sampler: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    base, refiner = pair_of("sdxl"), pair_of("sdxl-refiner")
    folder = tmp_path_factory.mktemp("refiner") / "model"
    write_diffusers(folder, refiner.ours.spec, refiner.ours.params)
    base = replace(base, ours=with_refiner(base.ours, folder, "refiner"))
    order = order_of(base, sampler, guidance_scale=5.0, refiner="refiner", refiner_start=0.7)
    assert (order.rows, order.later.rows) == (10, 3)
    latents = draw_theirs(
        base, StableDiffusionXLPipeline, sampler, guidance_scale=5.0, denoising_end=0.7
    )
    want = draw_theirs(
        refiner,
        StableDiffusionXLImg2ImgPipeline,
        sampler,
        guidance_scale=5.0,
        image=latents,
        denoising_start=0.7,
    )
    assert_same_pictures(drawn(base, order), base, want)
