"""Drawings that begin from a picture's own noise, and how likely a picture is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tiny_models import relative_error, uniform
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.pipeline import Pipeline
from jaxsd.settings import Settings, bucket_of, checked, rows_of

IMAGE = np.uint8(127.5 + 70 * uniform("source", (4, 4, 3)))
SAID = Settings("other", height=4, width=4, steps=4, sampler="bdia", source_prompt="as it is")


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return pipeline(SMALLEST)


def test_the_first_rows_see_the_source_prompt_alone(pipe: Pipeline) -> None:
    told = replace(SAID, guidance_scale=3.0, blend_prompt="third")
    order = pipe.order(told, image=IMAGE)
    there, back = order.runs
    assert [len(run.row.number) for run in order.runs] == [5, 4]
    assert there.columns["which"].tolist() == [[[3]]] * 5  # behind negative, prompt and mixed
    assert back.columns["which"].tolist() == [[[0, 1]]] * 4
    assert there.columns["weight"].size == 0
    assert order.given.start.tolist() == [[1, 0]]
    assert order.rows == rows_of(order.settings[0], pipe.spec) == 9
    bucket = bucket_of(order.settings[0], pipe.spec, pipe.tokenizers)
    assert bucket.inverts
    assert bucket.runs == ((0, 5, 1), (5, 9, 2))


@pytest.mark.release
def test_pictures_come_back_beside_others(pipe: Pipeline) -> None:
    """With the same words alone, and guided away from the same words; DDIM's does not quite."""
    guided = {"guidance_scale": 3.0, "negative_prompt": "as it is"}
    same = replace(SAID, prompt="as it is", **guided)
    settings = [same, replace(same, sampler="ddim"), replace(SAID, **guided)]
    latents = pipe.draw(settings, image=IMAGE).latents
    whole = np.asarray(pipe.encode(IMAGE[None]))[0]
    exact, ddim, other = (relative_error(one, whole) for one in latents)
    assert exact < 1e-5
    assert 1e-4 < ddim < other


def test_a_mask_keeps_the_rest_of_a_picture(pipe: Pipeline) -> None:
    """Latents are 2 x 2; the blend does not act on the way to the noise."""
    mask = np.zeros((4, 4), np.uint8)
    mask[:2] = 255
    told = replace(SAID, mask_blur=0.0)
    order = pipe.order(told, image=IMAGE, mask=mask)
    column = np.concatenate([run.columns["blend"] for run in order.runs])
    assert not column[:5].any()
    assert column[5:, :, 2].all()


@pytest.mark.release
def test_a_density_is_of_the_seed_and_needs_no_words(pipe: Pipeline) -> None:
    told = {"steps": 4, "height": 4, "width": 4}
    one, again, other = (pipe.log_likelihood(IMAGE, "", seed=s, **told) for s in (0, 0, 1))
    assert one.shape == (1,)
    assert one == again != other


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"image": ""}, "source_prompt says what a picture shows; give that image"),
        ({"sampler": "dpm++_2m"}, "only ddim .with eta 0., euler and bdia lead back"),
        ({"sampler": "ddim", "sampler_options": ("eta=0.5",)}, "only ddim"),
        ({"cfg_pp": True}, "source_prompt and cfg_pp do not go together"),
        ({"refiner": "xl"}, "source_prompt and refiner do not go together"),
        ({"source_prompt": "a <lora:b:1>"}, "source_prompt has <lora:...>"),
    ],
)
def test_what_does_not_go_together(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        checked(replace(SAID, **{"image": "a.png"} | said), SMALLEST)
    assert "\n" not in str(error.value)
