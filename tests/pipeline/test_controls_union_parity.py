"""A ControlNet-Union in diffusers' pipeline for it: one kind of picture, and two runs."""

import functools
import tempfile
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from diffusers import (
    ControlNetUnionModel,
    StableDiffusionXLControlNetUnionPipeline,
)
from diffusers.models.controlnets import MultiControlNetUnionModel
from diffusers_pairs import (
    Pair,
    assert_same_pictures,
    draw_theirs,
    drawn,
    order_of,
    pair_of,
    pictures,
    pil,
)

from jaxsd.pipeline import with_controlnet
from jaxsd.settings import Control

pytestmark = [pytest.mark.release, pytest.mark.filterwarnings("ignore::FutureWarning")]


@functools.cache
def with_union() -> tuple[Pair, ControlNetUnionModel]:
    """The tiny XL with a network of random weights, and the same one in diffusers."""
    pair = pair_of("sdxl")
    unet = pair.theirs.unet
    torch.manual_seed(0)
    width = unet.config.block_out_channels[0]
    settings = {
        **ControlNetUnionModel.from_unet(unet, load_weights_from_unet=False).config,
        "num_trans_channel": width,
        "num_proj_channel": width,
        "conditioning_embedding_out_channels": (4, 6, 8, 12),
    }
    named = {name: value for name, value in settings.items() if not name.startswith("_")}
    net = ControlNetUnionModel(**named).eval()
    for parameter in net.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    with tempfile.TemporaryDirectory() as folder:
        net.save_pretrained(folder)
        return replace(pair, ours=with_controlnet(pair.ours, folder, "union")), net


def test_one_kind() -> None:
    """Both images see the same picture: diffusers attends over the batch."""
    (pair, net), hint = with_union(), pictures("hint")[0]
    control = [Control("given", "union", 0.8, 0.0, 0.7, "canny")]
    order = order_of(pair, "euler", guidance_scale=5.0, control=control, control_images=[hint])
    want = draw_theirs(
        pair,
        StableDiffusionXLControlNetUnionPipeline,
        "euler",
        parts={"controlnet": net},
        control_image=pil([hint]),
        control_mode=[3],
        controlnet_conditioning_scale=0.8,
        control_guidance_end=0.7,
        guidance_scale=5.0,
    )
    assert_same_pictures(drawn(pair, order), pair, want)


def test_two_runs_of_a_network_add_up() -> None:
    (pair, net), hints = with_union(), pictures("hint")
    controls = [
        Control("given", "union", 0.8, kind="canny"),
        Control("given", "union", 0.4, kind="depth"),
    ]
    order = order_of(pair, "euler", guidance_scale=5.0, control=controls, control_images=hints)
    want = draw_theirs(
        pair,
        StableDiffusionXLControlNetUnionPipeline,
        "euler",
        parts={"controlnet": MultiControlNetUnionModel([net, net])},
        control_image=pil(hints),
        control_mode=[3, 1],
        controlnet_conditioning_scale=[0.8, 0.4],
        guidance_scale=5.0,
    )
    assert_same_pictures(drawn(pair, order), pair, want)


def test_two_kinds_in_one_run() -> None:
    """diffusers' pipeline takes the first weight for all."""
    (pair, net), hints = with_union(), pictures("hint")
    controls = [Control("given", "union", 0.8, kind=kind) for kind in ("canny", "depth")]
    given = {"control": controls, "control_images": hints, "union_at_once": True}
    order = order_of(pair, "euler", guidance_scale=5.0, **given)
    want = draw_theirs(
        pair,
        StableDiffusionXLControlNetUnionPipeline,
        "euler",
        parts={"controlnet": net},
        control_image=pil(hints),
        control_mode=[3, 1],
        controlnet_conditioning_scale=0.8,
        guidance_scale=5.0,
    )
    assert_same_pictures(drawn(pair, order), pair, want)
