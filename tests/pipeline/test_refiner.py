"""Two models for one picture: the second goes on with the latents of the first."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import TINY, pipeline_params
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.convert import write_single_file
from jaxsd.convert.refiner import open_refiner
from jaxsd.settings import Control, Settings, checked, passes_of, rows_of, tableau_of

OPTIONS = {"steps": 4, "height": 8, "width": 8, "seed": 4, "sampler": "euler_a"}
REFINED = {"refiner": "itself", "refiner_start": 0.5}


def test_the_rows_of_both_are_those_of_one() -> None:
    spec = TINY["sdxl"]
    whole = tableau_of(checked(Settings("a", sampler="dpm++_2m", steps=20), spec), spec)
    prompt = "a <lora:style:1> b"
    settings = Settings(prompt, sampler="dpm++_2m", steps=20, refiner="r", lora_folder=(".",))
    first, second = (
        tableau_of(one, spec)
        for one in passes_of(replace(settings, strength=1.0, guidance_scale=5.0))
    )
    assert (first.rows, second.rows) == (16, 4)
    np.testing.assert_array_equal([*first.timestep, *second.timestep], whole.timestep)
    np.testing.assert_array_equal([*first.alpha[:-1], *second.alpha], whole.alpha)
    np.testing.assert_array_equal(first.history, whole.history[:16])
    assert first.alpha[-1] == second.alpha[0]
    assert second.start.tolist() == [1, 0], "the noise is in it already"
    later = passes_of(settings)[1]
    assert (later.prompt, later.lora_folder, later.refiner) == ("a  b", (), "")


def test_a_model_that_takes_over_from_itself_draws_the_same() -> None:
    """Also with fresh noise, since rows are numbered on."""
    pipe, rows = pipeline(SMALLEST), []

    def progress(done: int, total: int) -> None:
        rows.append((done, total))

    want = pipe.draw("a", **OPTIONS, progress=progress)
    rows.clear()
    both = replace(pipe, refiners={"itself": pipe})
    got = both.draw("a", **OPTIONS, **REFINED, progress=progress)
    assert rows == [(i, 4) for i in range(1, 5)]
    np.testing.assert_allclose(got.latents, want.latents, atol=2e-5)
    np.testing.assert_allclose(got.images, want.images, atol=2e-5)
    seen = {"control": [Control(model="edges")], "control_images": [np.zeros((8, 8, 3), np.uint8)]}
    order = both.order("a", **OPTIONS, **REFINED, **seen)
    assert (order.controls, order.later.controls) == (("edges",), ()), "they are of the first"
    with pytest.raises(ValueError, match="no refiner 'itself' was added; there are: none"):
        pipe.draw("a", **OPTIONS, **REFINED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "heun"}, "one network call a step, which heun is not"),
        ({"refiner_start": 1.0}, "refiner_start 1 leaves no step of 4 for one of the two"),
        ({"refiner_start": 0.0}, "refiner_start 0 leaves no step of 4"),
        ({"hires": 2.0}, "refiner 'itself' does not go with hires"),
        ({"image": "a.png", "mask": "b.png"}, "does not go with mask or outpaint"),
        ({"noise": "torch"}, "refiner needs noise jax"),
    ],
)
def test_mistakes_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(Settings("a", **{**OPTIONS, **REFINED, **options}), SMALLEST)


def test_from_a_picture_the_first_model_has_what_is_left_of_it() -> None:
    settings = checked(Settings("a", image="a.png", strength=0.75, **OPTIONS, **REFINED), SMALLEST)
    first, second = (tableau_of(one, SMALLEST) for one in passes_of(settings))
    assert (first.rows, second.rows, rows_of(settings, SMALLEST)) == (1, 2, 3)


def test_other_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_single_file(path, TINY["sd1"], pipeline_params(TINY["sd1"]))
    assert open_refiner(path, TINY["sd1"]).spec == TINY["sd1"]
    with pytest.raises(ValueError, match=r"cannot take over from sdxl: it has other latents"):
        open_refiner(path, TINY["sdxl"])
    noise = replace(TINY["sd1"].schedule, zero_terminal_snr=True)
    with pytest.raises(ValueError, match="it was trained with other noise"):
        open_refiner(path, replace(TINY["sd1"], schedule=noise))
    path = tmp_path / "inpainting.safetensors"
    write_single_file(path, TINY["sd1-inpainting"], pipeline_params(TINY["sd1-inpainting"]))
    with pytest.raises(ValueError, match="it is not a model of texts alone"):
        open_refiner(path, TINY["sd1"])
    with pytest.raises(ValueError, match="takes over from models of text alone, and this is"):
        checked(Settings("a", steps=4, **REFINED), TINY["sd1-inpainting"])
