"""ControlNets against diffusers' pipelines: the same hints, noise and tiny weights."""

import functools
import itertools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import diffusers
from diffusers_pairs import (
    SAMPLERS,
    SPECS,
    Pair,
    assert_same_pictures,
    draw_theirs,
    drawn,
    masks,
    order_of,
    pair_of,
    pictures,
    pil,
    rarely,
)
from tiny_models import abstract_controlnet, random_params

from jaxsd.config import ControlNetConfig
from jaxsd.convert import write_controlnet
from jaxsd.pipeline import with_controlnet
from jaxsd.sampling.latents import MASKED, SOURCE
from jaxsd.settings import Control

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

PART = [Control("given", "first", 0.9, 0.2, 0.75)]
TWO = [Control("given", "first", 0.9, 0.0, 0.5), Control("given", "second", 0.4, 0.33, 1.0)]
HINTS = pictures("hint")


@functools.cache
def with_nets(family: str) -> tuple[Pair, dict[str, diffusers.ControlNetModel]]:
    """A model with two ControlNets, and the same ones in diffusers."""
    pair, nets = pair_of(family), {}
    unet = replace(SPECS[family].unet, in_channels=4)
    config = ControlNetConfig(unet, hint_channels=(4, 6, 8, 12))
    linear = SPECS[family].layout.linear_projection
    with tempfile.TemporaryDirectory() as parent:
        for name in ("first", "second"):
            folder = Path(parent) / name
            params = random_params(abstract_controlnet(config), name)
            write_controlnet(folder, config, params, linear_projection=linear)
            pair = replace(pair, ours=with_controlnet(pair.ours, folder, name))
            nets[name] = diffusers.ControlNetModel.from_pretrained(folder)
    return pair, nets


def compare(
    family: str,
    kind: type,
    sampler: str,
    controls: list[Control],
    *,
    ours: dict[str, Any] | None = None,
    theirs: dict[str, Any] | None = None,
    **both: Any,
) -> None:
    """Draws with ControlNets in both libraries, with options of one, the other, or both."""
    pair, nets = with_nets(family)
    ours, theirs, both = ours or {}, theirs or {}, {"guidance_scale": 5.0} | both
    hints = HINTS[: len(controls)]
    order = order_of(pair, sampler, control=controls, control_images=hints, **ours, **both)
    hint = "control_image" if "image" in theirs else "image"
    of_each = {
        hint: pil(hints),
        "controlnet_conditioning_scale": [control.weight for control in controls],
        "control_guidance_start": [control.first for control in controls],
        "control_guidance_end": [control.last for control in controls],
    }
    used = [nets[control.model] for control in controls]
    if len(controls) == 1:  # diffusers wants no lists then
        of_each = {name: one for name, (one,) in of_each.items()}
        (used,) = used
    want = draw_theirs(pair, kind, sampler, parts={"controlnet": used}, **of_each, **theirs, **both)
    assert_same_pictures(drawn(pair, order), pair, want)


ALL = [*itertools.product(["sd1", "sdxl"], SAMPLERS), *rarely(itertools.product(["sd2"], SAMPLERS))]


@pytest.mark.parametrize(("family", "sampler"), ALL)
def test_text_to_image(family: str, sampler: str) -> None:
    xl = diffusers.StableDiffusionXLControlNetPipeline
    kind = xl if family == "sdxl" else diffusers.StableDiffusionControlNetPipeline
    compare(family, kind, sampler, TWO)


@pytest.mark.release
@pytest.mark.parametrize("scale", [5.0, 1.0])
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_guess_mode(family: str, scale: float) -> None:
    """With negative prompts, which do not see the hints, and without."""
    xl = diffusers.StableDiffusionXLControlNetPipeline
    kind = xl if family == "sdxl" else diffusers.StableDiffusionControlNetPipeline
    ours, theirs = {"control_mode": "guess"}, {"guess_mode": True}
    compare(family, kind, "ddim", TWO, ours=ours, theirs=theirs, guidance_scale=scale)


@pytest.mark.parametrize(("family", "sampler"), ALL)
def test_image_to_image(family: str, sampler: str) -> None:
    xl = diffusers.StableDiffusionXLControlNetImg2ImgPipeline
    kind = xl if family == "sdxl" else diffusers.StableDiffusionControlNetImg2ImgPipeline
    image = pictures("source")
    theirs = {"image": pil(image), "purposes": [SOURCE]}
    compare(family, kind, sampler, TWO, ours={"image": image}, theirs=theirs, strength=0.6)


@pytest.mark.parametrize(
    ("family", "sampler", "strength"),
    [
        *itertools.product(["sd1", "sdxl"], ["ddim", "euler"], [0.6]),
        ("sd1", "ddim", 1.0),
        *rarely(itertools.product(["sd1", "sdxl"], ["pndm", "dpm++_2m"], [0.6])),
        *rarely(itertools.product(["sd2"], SAMPLERS, [0.6])),
        *rarely([("sd1-inpainting", "euler", 0.6)]),
    ],
)
def test_inpainting(family: str, sampler: str, strength: float) -> None:
    xl = diffusers.StableDiffusionXLControlNetInpaintPipeline
    pipeline = diffusers.StableDiffusionControlNetInpaintPipeline
    image, mask = pictures("source"), masks()
    compare(
        family,
        xl if family.startswith("sdxl") else pipeline,
        sampler,
        PART,
        ours={"image": image, "mask": mask, "mask_blur": 0},
        theirs={"image": pil(image), "mask_image": pil(mask), "purposes": [SOURCE, MASKED]},
        strength=strength,
    )
