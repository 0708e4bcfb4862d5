"""Models that change a picture as they are told: guidance by text and by picture."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_models import uniform
from tiny_pipelines import SMALLEST, LetterTokenizer

from jaxsd.canvases import Canvas
from jaxsd.families import pix2pix
from jaxsd.pipeline.order import given_arrays, runs_of
from jaxsd.sampling.call import Answer, Call
from jaxsd.sampling.features.channels import Channels, wrap
from jaxsd.sampling.loop import Step
from jaxsd.schedulers.guidance import composed, runs, shown, together
from jaxsd.settings import Settings, bucket_of, checked
from jaxsd.webui import parse_parameters

SPEC = pix2pix(SMALLEST)
TOKENIZERS = [LetterTokenizer(config) for config in SPEC.text]
OPTIONS = {"steps": 4, "height": 8, "width": 8, "image": "a.png"}


def test_three_branches_are_the_paper_s_equation() -> None:
    """Brooks et al. 2023, equation 3: nothing, the picture, the picture and the text."""
    outputs = uniform("branches", (3, 5)).astype(np.float64)
    nothing, picture, both = outputs
    guidance = shown(composed([1.0], 7.5, 1), 1.5)
    assert guidance.which.tolist() == [[0, 1, 2]]
    got = nothing + guidance.weight[0] @ (outputs[1:] - nothing)
    want = nothing + 1.5 * (picture - nothing) + 7.5 * (both - picture)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_parts_and_intervals_of_a_prompt() -> None:
    guidance = shown(composed([1.0, 0.5], 4.0, 4, (0.0, 0.5)), 2.0, (0.0, 0.5))
    assert guidance.weight.tolist() == [[-4.0, 4.0, 2.0]] * 2 + [[-0.5, 1.0, 0.5]] * 2
    guidance = shown(composed([1.0], 4.0, 4, (0.0, 0.5)), 2.0, (0.0, 0.5))
    assert [run.live for run in runs(together([guidance]))] == [(0, 1, 2), (2,)]


def test_the_branch_without_the_picture_sees_zeros() -> None:
    told = {"guidance_scale": 5.0, "image_guidance_scale": 2.0}
    settings = [
        checked(Settings("a", "b", **OPTIONS, **told), SPEC),
        checked(Settings("a", **OPTIONS, guidance_scale=5.0, image_guidance_scale=1.0), SPEC),
    ]
    canvas = Canvas(np.zeros((8, 8, 3), np.uint8), None, ())
    given = given_arrays(SPEC, TOKENIZERS, settings, [canvas] * 2)
    assert given.image is None, "they begin from noise"
    assert given.features["channels"].sees.tolist() == [[0, 1, 1, 1], [1, 1, 1, 1]]
    columns = runs_of(SPEC, settings)[0].columns
    assert columns["which"][0].tolist() == [[0, 1, 2], [0, 1, 1]]
    np.testing.assert_array_equal(columns["weight"][0], [[-3.0, 5.0], [5.0, 0.0]])

    held = Channels(None, uniform("picture", (2, 4, 4, 4)), given.features["channels"].sees)
    call = Call(uniform("x", (6, 4, 4, 4)), *[None] * 5)
    step = Step(SimpleNamespace(), {"which": columns["which"][0]})
    seen = []

    def unet(call: Call, step: Step, memory: dict) -> tuple[Answer, dict]:
        seen.append(np.asarray(call.x))
        return Answer(call.x, call.x), memory

    wrap(None, {}, held, unet)(call, step, {})
    np.testing.assert_array_equal(seen[0][..., :4], call.x)
    pictures = seen[0][..., 4:].reshape(2, 3, 4, 4, 4)
    np.testing.assert_array_equal(pictures[0, 0], 0)
    np.testing.assert_array_equal(pictures[0, 1:], [held.image[0]] * 2)
    np.testing.assert_array_equal(pictures[1], [held.image[1]] * 3)


def test_what_is_not_given_suits_the_model() -> None:
    one = checked(Settings("a", **OPTIONS), SPEC)
    assert (one.image_guidance_scale, one.strength, one.guidance_scale) == (1.5, 1.0, 7.5)
    assert checked(one, SPEC) == one
    assert bucket_of(one, SPEC, TOKENIZERS).runs == ((0, 4, 3),)
    unguided = checked(replace(one, guidance_scale=1.0), SPEC)
    assert bucket_of(unguided, SPEC, TOKENIZERS).runs == ((0, 4, 1),)
    assert checked(Settings("a"), SMALLEST).image_guidance_scale == 1
    said = parse_parameters("a\nSteps: 4, CFG scale: 7.5, Image CFG scale: 1.5")
    assert said["Image CFG scale"] == "1.5"


@pytest.mark.parametrize(
    ("options", "spec", "message"),
    [
        ({"image_guidance_scale": 1.5}, SMALLEST, "is for InstructPix2Pix, and this is sd1"),
        ({"image_guidance_scale": 0.9}, SPEC, "image_guidance_scale 0.9 is out of range"),
        ({"image": ""}, SPEC, "changes a picture as the prompt tells; give an image"),
        ({"strength": 0.5}, SPEC, "strength 0.5 is not for a model that changes a picture"),
    ],
)
def test_mistakes_are_named(options: dict, spec: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(Settings("a", **{**OPTIONS, **options}), spec)
