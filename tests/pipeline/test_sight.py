"""Models that draw variations of a picture: what goes together, and their folders."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import SD1_UNET, SD2_UNET, TINY

from jaxsd.canvases import Pictures, canvas_of
from jaxsd.config import ModelSpec, ScheduleConfig, SightConfig, VisionConfig
from jaxsd.convert import write_diffusers, write_single_file
from jaxsd.convert.api import open_model
from jaxsd.convert.clip import clip_pixels
from jaxsd.convert.files.tensors import nested
from jaxsd.convert.parameters import parameters
from jaxsd.pipeline.columns import encodes_picture
from jaxsd.pipeline.given_features import sight_of
from jaxsd.pipeline.texts import banks_of, texts_of
from jaxsd.schedulers import NoiseSchedule
from jaxsd.settings import Settings, checked
from jaxsd.settings.plans import bucket_of
from jaxsd.types import Params

VISION = VisionConfig(8, 1, 2, 8, "gelu", image_size=8, patch_size=4, projection_dim=6)
UNCLIP = replace(
    TINY["sd2-v"],
    unet=replace(SD2_UNET, label_dim=12),
    sight=SightConfig(VISION, ScheduleConfig(beta_schedule="squaredcos_cap_v2")),
)
VARIATION = replace(
    TINY["sd1"], text=(), unet=replace(SD1_UNET, context_dim=6), sight=SightConfig(VISION)
)
ASKED = Settings("a cat", image="cat.png")
WORDLESS = Settings(image="cat.png", width=64, height=32)


def test_what_is_filled_in() -> None:
    settings = checked(ASKED, UNCLIP)
    assert (settings.noise_level, settings.strength) == (0, 1)
    assert not encodes_picture(UNCLIP, settings)
    assert checked(WORDLESS, VARIATION).clip_skip == 1


@pytest.mark.parametrize(
    ("spec", "changes", "why"),
    [
        (UNCLIP, {"image": ""}, "draws variations of a picture; give an image"),
        (UNCLIP, {"strength": 0.5}, "strength is not for a model that draws variations"),
        (UNCLIP, {"mask": "m.png"}, "mask or outpaint is not for a model that draws"),
        (UNCLIP, {"noise": "torch"}, "noise is not for a model that draws variations"),
        (UNCLIP, {"refiner": "other"}, "refiner is not for a model that draws variations"),
        (UNCLIP, {"noise_level": 1000}, "noise_level 1000 is out of range; .* 0 to 999"),
        (VARIATION, {}, "prompt is a text, and this model sees a picture in place of texts"),
        (VARIATION, {"prompt": "", "noise_level": 3}, "noise_level 3 is for models that enlarge"),
    ],
)
def test_what_does_not_go_together(spec: ModelSpec, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked(replace(ASKED, **changes), spec)


def test_a_label_is_of_an_embedding_and_its_noise() -> None:
    with pytest.raises(ValueError, match=r"takes a label of width 12, and that of .* is None"):
        replace(UNCLIP, sight=None)


def test_what_is_given() -> None:
    """The whole picture, whatever its size, and the noise of its level; the negative prompt not."""
    picture = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
    settings = checked(replace(ASKED, noise_level=7), UNCLIP)
    given = sight_of(
        UNCLIP,
        settings,
        [canvas_of(settings, Pictures(picture))],
        banks_of(UNCLIP, [settings]),
    )["sight"]
    np.testing.assert_array_equal(given.seen[0], clip_pixels(picture, 8))
    schedule = NoiseSchedule.from_config(UNCLIP.sight.noise)
    want = np.float32([[schedule.alpha[7], schedule.sigma[7]]])
    np.testing.assert_array_equal(given.noising.weights, want)
    assert (given.noising.level.tolist(), given.negatives.tolist()) == ([7], [1])


def test_a_model_without_texts() -> None:
    settings = checked(WORDLESS, VARIATION)
    texts = texts_of(VARIATION, (), [settings], banks_of(VARIATION, [settings]))
    assert texts.context.shape == (1, 2, 1, 6)
    assert bucket_of(settings, VARIATION, ()).chunks == ()


def zeros(spec: ModelSpec) -> Params:
    trees = {
        part: nested((path, np.zeros(shape, np.float16)) for path, shape in own.items())
        for part, own in parameters(spec).items()
    }
    texts = [trees.pop(f"text_{k}") for k in range(len(spec.text))]
    return trees | {"text": texts}


def test_folders(tmp_path: Path) -> None:
    """What is written is read again; what does not belong together is refused."""
    write_diffusers(tmp_path / "variation", VARIATION, zeros(VARIATION))
    read = open_model(tmp_path / "variation").spec
    assert (read.sight, read.text, read.unet) == (VARIATION.sight, (), VARIATION.unet)
    with pytest.raises(ValueError, match="is written as a folder alone"):
        write_single_file(tmp_path / "variation.safetensors", VARIATION, zeros(VARIATION))
    text = (replace(UNCLIP.text[0], vocab_size=49408),)
    spec = replace(UNCLIP, text=text)
    write_diffusers(folder := tmp_path / "unclip", spec, zeros(spec))
    assert open_model(folder).spec.sight == spec.sight
    normalizer = folder / "image_normalizer" / "config.json"
    normalizer.write_text(json.dumps({"embedding_dim": 5}))
    with pytest.raises(ValueError, match=r"mean .* instead of"):
        open_model(folder)
    index = folder / "model_index.json"
    table = json.loads(index.read_text()) | {"_class_name": "StableUnCLIPPipeline"}
    index.write_text(json.dumps(table))
    with pytest.raises(ValueError, match=r"prior .* take the folder of a StableUnCLIPImg2Img"):
        open_model(folder)
