"""Options of guidance as columns: which rows have them, with what values, and what is refused."""

import itertools
from typing import Any

import numpy as np
import pytest
from tiny_models import TINY

from jaxsd.canvases import Canvas
from jaxsd.pipeline.given_features import features_of, region_masks
from jaxsd.pipeline.order import runs_of
from jaxsd.sampling import Step
from jaxsd.schedulers.guidance import plus_plus
from jaxsd.settings import Control, Region, Settings, checked, settings_from, tableau_of
from jaxsd.settings.options import CONTROL_MODES

SD1 = TINY["sd1"]
BOX = (Region(0.0, 0.0, 0.5, 1.0, "b"),)


def rows(*prompts: str, **options: Any) -> tuple[Step, ...]:
    told = {"steps": 5, "guidance_scale": 3.0} | options
    return runs_of(SD1, [checked(Settings(prompt, **told), SD1) for prompt in prompts])


@pytest.mark.parametrize(
    ("options", "name", "values"),
    [
        ({"dynamic_thresholding": (0.995, 3.0)}, "threshold", [0.995, 3.0]),
        ({"mimic_scale": (1.5, 0.9)}, "mimic", [0.5, 0.9]),
        ({"apg": (0.0, 15.0, -0.5)}, "apg", [3.0, 0.0, 15.0, -0.5]),
        ({"cfg_zero": 0}, "cfg_zero", [3.0, 1.0]),
        ({"freeu": (1.3, 1.4, 0.9, 0.2)}, "freeu", [1.3, 1.4, 0.9, 0.2, 2.0]),
    ],
)
def test_an_option_is_a_column(options: dict[str, Any], name: str, values: list[float]) -> None:
    [run] = rows("a", "b", **options)
    assert run.columns.keys() == {"which", "weight", name}
    np.testing.assert_array_equal(run.columns[name], np.tile(np.float32(values), (5, 2, 1)))


def test_control_modes_are_a_factor_for_each_skip() -> None:
    """The tiny model has six skips and the middle; negative prompts come first."""
    control = (Control("given", "net"),)
    factors = {mode: column(control=control, control_mode=mode) for mode in CONTROL_MODES[1:]}
    skips = len(SD1.unet.skip_channels)
    weak = 0.825 ** np.arange(12, 11 - skips, -1.0)
    np.testing.assert_allclose(factors["prompt"], [1, *weak], rtol=1e-6)
    np.testing.assert_allclose(factors["control"], [0, *weak], rtol=1e-6)
    np.testing.assert_allclose(factors["guess"], [0, *np.logspace(-1, 0, skips + 1)], rtol=1e-6)
    with pytest.raises(ValueError, match="control_mode guess needs a control"):
        rows("a", control_mode="guess")


def column(**options: Any) -> np.ndarray:
    [run] = rows("a", **options)
    return run.columns["control_mode"][2, 0]


def test_rows_without_a_negative_prompt_have_no_options_of_guidance() -> None:
    options = {"apg": (0.0, 0.0, 0.0), "dynamic_thresholding": (1.0, 3.0)}
    before, guided, after = rows("a", guidance_interval=(0.2, 0.8), **options)
    assert guided.columns.keys() == {"which", "weight", "apg", "threshold"}
    for run in (before, after, *rows("a", guidance_scale=1.0, **options)):
        assert run.columns.keys() == {"which", "weight", "threshold"}


def test_the_first_steps_of_cfg_zero_are_zero() -> None:
    [run] = rows("a", cfg_zero=2)
    assert run.columns["cfg_zero"][:, 0, 1].tolist() == [0, 0, 1, 1, 1]


def test_cfg_plus_plus_is_weights_and_for_two_predictions_momentum() -> None:
    """Both share a call."""
    each = [
        checked(Settings("a", cfg_pp=True, sampler=sampler, steps=4), SD1)
        for sampler in ("euler", "dpm++_2m")
    ]
    [run] = runs_of(SD1, each)
    for image, settings in enumerate(each):
        assert settings.guidance_scale == 0.6
        factors, momentum = plus_plus(tableau_of(settings, SD1))
        got = run.columns["weight"][:, image, 0]
        np.testing.assert_allclose(got, 0.6 * factors, rtol=1e-6)
        np.testing.assert_array_equal(run.columns["momentum"][:, image], np.float32(momentum))
        assert momentum.any() == (settings.sampler != "euler")


@pytest.mark.parametrize(("name", "text", "weights"), [("pag", 1, [5, -2]), ("sag", 0, [3, -2])])
def test_away_from_a_perturbed_branch(name: str, text: int, weights: list[float]) -> None:
    before, guided = rows("a", guidance_interval=(0.2, 1.0), **{name: 2.0})
    assert before.columns.keys() == {"which", "weight"}
    assert guided.columns[name].all()
    assert guided.columns["which"][0, 0].tolist() == [0, 1, text]
    assert guided.columns["weight"][0, 0].tolist() == weights
    [unguided] = rows("a", guidance_scale=1.0, **{name: 2.0})
    assert unguided.columns["which"][0, 0].tolist() == [0, 0]
    assert unguided.columns["weight"][0, 0].tolist() == [-2]


def test_a_perturbed_branch_is_the_last_of_every_image() -> None:
    [run] = rows("a AND b", "c", pag=2.0)
    assert run.columns["which"][0].tolist() == [[0, 1, 2, 1], [0, 1, 1, 1]]
    assert run.columns["weight"][0].tolist() == [[5, 3, -2], [5, 0, -2]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cfg_pp": True, "guidance_scale": 7.5}, "allowed is 0 to 1, such as 0.6"),
        ({"cfg_pp": True, "sampler": "heun"}, "cfg_pp is for samplers that keep at most two"),
        ({"cfg_pp": True, "apg": (0, 0, 0)}, "cfg_pp and apg do not go together"),
        ({"cfg_pp": True, "mimic_scale": (3, 1)}, "cfg_pp and mimic_scale do not go together"),
        ({"cfg_pp": True, "guidance_interval": (0, 0.5)}, "cfg_pp and guidance_interval do not"),
        ({"pag": 3, "sag": 0.75}, "pag and sag do not go together"),
        ({"pag": 3, "cfg_zero": 0}, "cfg_zero and pag do not go together"),
        ({"sag": 0.75, "reuse": 2}, "sag and reuse do not go together"),
        ({"seg": 3, "mimic_scale": (3, 1)}, "seg and mimic_scale do not go together"),
        ({"region": BOX, "pag": 1}, "region and pag do not go together"),
        ({"region": BOX, "prompt": "a AND b"}, "region and AND in a prompt do not go together"),
        ({"cfg_zero": 1, "apg": (0, 0, 0)}, "apg and cfg_zero do not go together"),
        ({"mimic_scale": (3, 2)}, "mimic_scale PERCENTILE 2.0 is out of range; allowed is 0 to 1"),
        ({"apg": (0, -0.5, 0)}, "allowed are ETA and NORM of 0 or more"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        checked(Settings(**{"prompt": "a"} | options), SD1)
    assert "\n" not in str(error.value)


def test_regions_have_shares_of_each_pixel() -> None:
    boxes = [Region(0.0, 0.0, 0.5, 1.0, "b", 3.0), Region(0.25, 0.5, 0.75, 0.5, "c")]
    got = region_masks(boxes, 4, 8)[..., 0]
    for y, x in itertools.product(range(4), range(8)):
        weights = np.array([1.0, 3.0 * (x < 4), float(x >= 2 and y >= 2)])
        np.testing.assert_allclose(got[:, y, x], weights / weights.sum(), rtol=1e-6)
    assert (region_masks([Region(0.99, 0.0, 0.01, 0.01, "b")], 4, 8)[1] > 0).sum() == 1


def test_regions_are_branches() -> None:
    settings = Settings("a", width=64, height=32, region=(Region(0.0, 0.0, 0.5, 1.0, "b"),))
    one = checked(settings, SD1)
    [run] = runs_of(SD1, [one] * 2)
    assert run.columns["which"][0].tolist() == [[0, 1, 2]] * 2
    assert (run.columns["weight"] == 7.5).all()
    masks = features_of(SD1, one, [Canvas(None, None, ())] * 2)["region"]
    assert masks.shape == (2, 2, 32 // SD1.vae.downscale, 64 // SD1.vae.downscale, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,0,0.5:b", "is not X,Y,WIDTH,HEIGHT"),
        ("0,0,half,1:b", "'half' is not a finite float"),
        ("0.6,0,0.5,1:b", "is no box within 0 to 1"),
        ("0,0,0,1:b", "is no box within 0 to 1"),
        ("0,0,0.5,1,-1:b", "region STRENGTH -1.0 is out of range"),
        ("0,0,0.5,1:<lora:x:1>", "which belongs into the prompt"),
    ],
)
def test_a_region_that_is_wrong_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(settings_from({"prompt": "a", "region": [text]}), SD1)


def test_negative_prompts_change_by_step() -> None:
    texts = ["[c:d:0.4]", "[c|d]"]
    settings = [checked(Settings("a", negative_prompt=text, steps=5), SD1) for text in texts]
    [run] = runs_of(SD1, settings)
    assert run.columns["which"][:, :, 0].T.tolist() == [[0, 0, 1, 1, 1], [0, 1, 0, 1, 0]]
