"""Models that enlarge a picture fourfold: what goes together, and the picture that they see."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import TINY, X4_UNET

from jaxsd.canvases import Pictures, canvas_of
from jaxsd.config import SmallConfig
from jaxsd.convert import write_diffusers
from jaxsd.convert.api import open_model
from jaxsd.convert.files.tensors import nested
from jaxsd.convert.parameters import parameters
from jaxsd.families import X4
from jaxsd.images import fitted
from jaxsd.pipeline.batches import image_keys
from jaxsd.pipeline.columns import encodes_picture
from jaxsd.pipeline.given_features import channels_of
from jaxsd.sampling.features.channels import FEATURE
from jaxsd.sampling.features.feature import Beginning
from jaxsd.sampling.latents import SMALL, noise_of
from jaxsd.schedulers import NoiseSchedule
from jaxsd.settings import Settings, checked

SPEC = replace(
    TINY["sd1"],
    unet=X4_UNET,
    vae=replace(TINY["sd1"].vae, channels=(16, 16, 32), scaling_factor=0.08333),
    schedule=X4.schedule,
    prediction="v",
    small=SmallConfig(X4.small.schedule, most=25),
)
ASKED = Settings("a cat", image="small.png")


def test_what_is_filled_in() -> None:
    settings = checked(ASKED, SPEC)
    assert (settings.noise_level, settings.strength) == (20, 1)
    assert checked(ASKED, replace(SPEC, small=replace(SPEC.small, most=3))).noise_level == 3
    assert not encodes_picture(SPEC, settings)
    assert checked(ASKED, TINY["sd1"]).noise_level == 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"image": ""}, "this model enlarges a picture; give an image"),
        ({"strength": 0.5}, "strength is not for a model that enlarges a picture"),
        ({"mask": "m.png"}, "mask or outpaint is not for a model that enlarges a picture"),
        ({"noise": "torch"}, "noise is not for a model that enlarges a picture"),
        ({"noise_level": 26}, "noise_level 26 is out of range; this model allows 0 to 25"),
        ({"hires": 2.0}, "hires 2 enlarges what was drawn"),
    ],
)
def test_what_does_not_go_together(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked(replace(ASKED, **changes), SPEC)


def test_a_noise_level_is_for_such_models_alone() -> None:
    with pytest.raises(ValueError, match="noise_level 5 is for models that enlarge a picture"):
        checked(replace(ASKED, noise_level=5), TINY["sd1"])
    with pytest.raises(ValueError, match="a U-Net that sees a small picture, and its noise, go"):
        replace(SPEC, small=None)
    with pytest.raises(ValueError, match="noise_levels = 30 are not more than 30"):
        replace(SPEC, small=SmallConfig(SPEC.small.schedule, most=30))


def test_the_noise_of_the_small_picture() -> None:
    """It is as small as the latents, and gets the noise of its level and of its own key."""
    picture = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
    settings = checked(replace(ASKED, width=48, height=32, noise_level=7), SPEC)
    canvas = canvas_of(settings, Pictures(picture), SPEC.vae.downscale)
    np.testing.assert_array_equal(canvas.image, fitted(picture, 8, 12))
    given = channels_of(SPEC, settings, [canvas] * 2, [], 2)["channels"]
    keys = image_keys([3, 4])
    held = FEATURE.hold(None, None, given, Beginning(None, keys, None, None))
    schedule = NoiseSchedule.from_config(SPEC.small.schedule)
    noise = np.asarray(noise_of(keys, SMALL, (8, 12, 3)))
    want = schedule.alpha[7] * (canvas.image / 127.5 - 1)[None] + schedule.sigma[7] * noise
    np.testing.assert_allclose(held.image, want, atol=1e-6)
    assert held.small.level.tolist() == [7, 7]


def test_a_folder_says_how_noisy_pictures_may_be(tmp_path: Path) -> None:
    shapes = parameters(SPEC)
    zeros = {
        part: nested((path, np.zeros(shape, np.float16)) for path, shape in own.items())
        for part, own in shapes.items()
    }
    params = {"unet": zeros["unet"], "vae": zeros["vae"], "text": [zeros["text_0"]]}
    text = (replace(SPEC.text[0], vocab_size=49408, pad_token=49407),)
    spec = replace(SPEC, text=text, default_size=64)
    params["text"][0]["embeddings"]["token_embedding"]["embedding"] = np.zeros((49408, 32), "f2")
    write_diffusers(tmp_path / "x4", spec, params)
    read = open_model(tmp_path / "x4").spec
    assert (read.small, read.unet, read.vae) == (spec.small, spec.unet, spec.vae)
    index = tmp_path / "x4" / "model_index.json"
    table = json.loads(index.read_text())
    assert table["_class_name"] == "StableDiffusionUpscalePipeline"
    index.write_text(json.dumps(table | {"max_noise_level": 5000}))
    with pytest.raises(ValueError, match="max_noise_level = 5000 is not 0 to 999"):
        open_model(tmp_path / "x4")
    index.write_text(json.dumps(table | {"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(ValueError, match=r"model_index\.json: a U-Net that sees a small picture"):
        open_model(tmp_path / "x4")
