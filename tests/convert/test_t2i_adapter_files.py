"""T2I-Adapters in folders and files, in both sets of names, and those that are refused."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from convert_fakes import unread
from safetensors.numpy import save_file
from tiny_models import TINY
from tiny_pipelines import pipeline

from jaxsd.config import Level, T2IAdapterConfig
from jaxsd.convert import read_controlnet
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.t2i_adapter import open_t2i_tensors, t2i_parameters, torch_name
from jaxsd.families import SD1, SD2, SDXL
from jaxsd.pipeline import with_controlnet
from jaxsd.pipeline.loading import check_t2i_adapter
from jaxsd.settings import Control

FULL = T2IAdapterConfig(3, (320, 640, 1280, 1280), 2, 8, (False, True, True, True))
LIGHT = replace(FULL, resnets=4, light=True)
XL = replace(FULL, downscale=16, halves=(False, False, True, False))
KINDS = {"full": FULL, "grey": replace(FULL, condition_channels=1), "light": LIGHT, "xl": XL}


def file_shapes(config: T2IAdapterConfig) -> dict[str, tuple[int, ...]]:
    """Name in diffusers -> shape in a file."""
    return {
        torch_name(path): (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
        for path, shape in t2i_parameters(config).items()
    }


def original(name: str, config: T2IAdapterConfig) -> str:
    """A name of diffusers in TencentARC's files, where `body` is a list of blocks."""
    name = name.removeprefix("adapter.")
    if config.light:
        return name.replace("resnets", "body")
    found = re.match(r"body\.(\d)\.(?:resnets\.(\d)\.)?(.*)", name)
    return f"body.{2 * int(found[1]) + int(found[2] or 0)}.{found[3]}" if found else name


@pytest.mark.parametrize("prefix", ["", "adapter."])
@pytest.mark.parametrize("kind", KINDS)
def test_shapes_of_single_files_tell_everything(kind: str, prefix: str) -> None:
    config, shapes = KINDS[kind], file_shapes(KINDS[kind])
    for names in (shapes, {prefix + original(n, config): s for n, s in shapes.items()}):
        found, tensors = open_t2i_tensors(unread(names))
        assert kind_of(unread(names)) == "a T2I-Adapter"
        assert found == config
        assert {path: t.shape for path, t in tensors.items()} == t2i_parameters(config)


def test_names_of_real_files() -> None:
    """Of `t2iadapter_canny_sd14v1.pth` and `t2i-adapter-canny-sdxl-1.0`."""
    own = {original(name, FULL) for name in file_shapes(FULL)}
    assert {"conv_in.weight", "body.0.block1.weight", "body.7.block2.bias"} <= own
    assert {name for name in own if "in_conv.weight" in name} == {
        "body.2.in_conv.weight",
        "body.4.in_conv.weight",
    }
    assert "adapter.body.3.resnets.1.block2.weight" in file_shapes(XL)


TINY_CONFIG = T2IAdapterConfig(3, (16, 32, 32, 32), 1, 8, (False, True, True, True))
LEVELS = tuple(Level(width, 1, 1, 2) for width in (16, 32, 32, 32))
SPEC = replace(TINY["sd1"], unet=replace(TINY["sd1"].unet, levels=LEVELS))


def write_folder(folder: Path, **changes: object) -> None:
    """A folder of diffusers with weights that all differ."""
    rng = np.random.default_rng(0)
    tensors = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in file_shapes(TINY_CONFIG).items()
    }
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
    settings = {
        "_class_name": "T2IAdapter",
        "adapter_type": "full_adapter",
        "channels": [16, 32, 32, 32],
        "downscale_factor": 8,
        "in_channels": 3,
        "num_res_blocks": 1,
    }
    (folder / "config.json").write_text(json.dumps(settings | changes))


def test_a_control_may_be_an_adapter(tmp_path: Path) -> None:
    write_folder(tmp_path)
    pipe = with_controlnet(pipeline(SPEC), tmp_path, "sketch")
    assert pipe.controlnets["sketch"] == TINY_CONFIG
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    for one in (tmp_path, file):
        config, params = read_controlnet(one)
        np.testing.assert_array_equal(
            params["body_1"]["in_conv"]["kernel"],
            pipe.params["controlnet"]["sketch"]["body_1"]["in_conv"]["kernel"],
        )
        assert config == TINY_CONFIG
    picture = np.zeros((8, 8, 3), np.uint8)
    order = pipe.order(
        "a", width=16, height=16, control=[Control("given", "sketch")], control_images=[picture]
    )
    (net,) = pipe._programs(order).networks.controlnets
    assert net.config == TINY_CONFIG


def test_what_is_wrong_is_told_in_one_line(tmp_path: Path) -> None:
    def refused(message: str, **changes: object) -> None:
        write_folder(tmp_path, **changes)
        with pytest.raises(ValueError, match=message) as caught:
            read_controlnet(tmp_path)
        assert "\n" not in str(caught.value)

    refused("adapter_type = 'other' is not one of full_adapter, light", adapter_type="other")
    refused("channels = .* should be 4 widths", channels=[16, 32])
    refused("in_channels = 2 is not 1 or 3", in_channels=2)
    refused("attention = True is not known here", attention=True)
    refused(r"does not fit: .*misshapen", channels=[32, 32, 32, 32])
    style = {"transformer_layes.0.ln_1.weight": np.ones(4, np.float32)}
    save_file(style, tmp_path / "style.safetensors")
    with pytest.raises(ValueError, match="is a T2I style adapter, not a ControlNet or T2I"):
        read_controlnet(tmp_path / "style.safetensors")
    shapes = file_shapes(FULL) | {"adapter.conv_in.weight": (320, 100, 3, 3)}
    with pytest.raises(ValueError, match="takes 100 channels; known are 64, 192, 256, 768"):
        open_t2i_tensors(unread(shapes))


def test_an_adapter_of_another_family_is_refused_by_both_names() -> None:
    for config, spec in ((FULL, SD1), (FULL, SD2), (LIGHT, SD1), (XL, SDXL)):
        check_t2i_adapter("a", config, spec)
    with pytest.raises(ValueError, match=r"a is a T2I-Adapter for sdxl, .* the model is sd1;"):
        check_t2i_adapter("a", XL, SD1)
    with pytest.raises(ValueError, match=r"a is a T2I-Adapter for sd1, .* the model is sdxl;"):
        check_t2i_adapter("a", FULL, SDXL)


def test_xl_needs_sides_of_16_pixels(tmp_path: Path) -> None:
    levels = Level(16, 1, 0, 2), Level(32, 1, 1, 2), Level(32, 1, 1, 2)
    spec = replace(TINY["sd1"], unet=replace(TINY["sd1"].unet, levels=levels))
    write_folder(tmp_path, adapter_type="full_adapter_xl", downscale_factor=16)
    shapes = file_shapes(replace(TINY_CONFIG, downscale=16))
    save_file(
        {name: np.zeros(shape, np.float32) for name, shape in shapes.items()},
        tmp_path / "diffusion_pytorch_model.safetensors",
    )
    pipe = with_controlnet(pipeline(spec), tmp_path, "xl")
    options = {
        "control": [Control("given", "xl")],
        "control_images": [np.zeros((8, 8, 3), np.uint8)],
    }
    with pytest.raises(ValueError, match="width 24 is not a multiple of 16 pixels, which xl"):
        pipe.order("a", width=24, height=32, **options)
