"""ControlNets as diffusers folders and as files in the original code's names."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from convert_fakes import assert_same, unread
from real_files import real_shapes
from safetensors.numpy import load_file
from tiny_models import CONTROLNETS

from jaxsd import families
from jaxsd.config import AddedConditions, ControlNetConfig, Level, UNetConfig
from jaxsd.convert import read_controlnet, write_controlnet
from jaxsd.convert.adapter_parameters import controlnet_parameters
from jaxsd.convert.diffusers.controlnet_settings import linear_by_heads
from jaxsd.convert.files.safetensors_file import read_safetensors, write_safetensors
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree, flatten, in_memory, load
from jaxsd.convert.original.controlnet import configuration, original_slots
from jaxsd.convert.slots import fill, lay_out
from jaxsd.types import Params

WEIGHTS = "diffusion_pytorch_model.safetensors"
SD1 = CONTROLNETS["sd1"]

# What the original code did not vary: 32 groups, and 8 heads or 64 channels per head.
ORIGINAL = {
    "sd1": ControlNetConfig(
        UNetConfig((Level(32, 2, 1, 8), Level(64, 2, 0, 8)), context_dim=24, mid_depth=1)
    ),
    "sd2": ControlNetConfig(
        UNetConfig((Level(64, 1, 1, 1), Level(128, 1, 0, 2)), context_dim=24, mid_depth=1),
        condition_channels=1,
        hint_channels=(4, 8, 12),
    ),
    "sdxl": ControlNetConfig(
        UNetConfig(
            (Level(64, 1, 0, 1), Level(64, 1, 2, 1)),
            context_dim=24,
            mid_depth=2,
            added=AddedConditions(pooled_dim=20, time_ids=6),
        ),
    ),
}
LINEAR = {"sd1": False, "sd2": True, "sdxl": True}
original = pytest.mark.parametrize("family", ORIGINAL)


def random_controlnet(config: ControlNetConfig, dtype: str = "float32") -> Params:
    """Parameters, all different."""
    generator = np.random.default_rng(0)
    shapes = controlnet_parameters(config)
    return load(
        {
            path: in_memory(generator.standard_normal(shape, np.float32).astype(dtype))
            for path, shape in shapes.items()
        }
    )


def original_tensors(family: str) -> tuple[Params, FlatTree]:
    """Parameters, and a file of them in the original code's names."""
    config = ORIGINAL[family]
    params, shapes = random_controlnet(config), controlnet_parameters(config)
    slots = original_slots(config, linear=LINEAR[family])
    return params, lay_out(slots, shapes, flatten(params), "the tree")


def complaint(source: Path) -> str:
    with pytest.raises((ValueError, OSError)) as caught:
        read_controlnet(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rewrite(path: Path, change) -> None:
    tensors, metadata = read_safetensors(path)
    write_safetensors(path, change(tensors), metadata)


def set_config(folder: Path, **settings) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.fixture
def folder(tmp_path) -> Path:
    write_controlnet(tmp_path / "net", SD1, random_controlnet(SD1))
    return tmp_path / "net"


@pytest.mark.parametrize(
    ("family", "total"),
    [("sd1", 361_279_120), ("sd2", 364_228_240), ("sdxl", 1_251_014_160)],
)
def test_totals(family, total):
    shapes = controlnet_parameters(ControlNetConfig(families.FAMILIES[family].unet))
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == total


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("family", CONTROLNETS)
def test_folder(tmp_path, family, dtype):
    config = CONTROLNETS[family]
    params = random_controlnet(config, dtype)
    write_controlnet(tmp_path / "a", config, params)
    got, tree = read_controlnet(tmp_path / "a", dtype=None)
    assert got == config
    assert_same(tree, params)
    write_controlnet(tmp_path / "b", got, tree)
    for name in ("config.json", WEIGHTS):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert read_controlnet(tmp_path / "a")[1]["conv_in"]["kernel"].dtype == np.float32


def test_names_of_a_folder(folder):
    tensors = load_file(folder / WEIGHTS)
    assert tensors["controlnet_cond_embedding.blocks.5.weight"].shape == (12, 8, 3, 3)
    assert tensors["controlnet_down_blocks.4.weight"].shape == (64, 64, 1, 1)
    assert tensors["controlnet_mid_block.bias"].shape == (64,)
    assert tensors["down_blocks.0.attentions.1.proj_in.weight"].shape == (32, 32, 1, 1)


def test_half_precision_variant(folder):
    params = read_controlnet(folder)[1]
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model.fp16.safetensors")
    assert_same(read_controlnet(folder)[1], params)


@pytest.mark.parametrize("linear", [False, True])
def test_layout_may_be_told(tmp_path, linear):
    params = random_controlnet(SD1)
    write_controlnet(tmp_path / "a", SD1, params, linear_projection=linear)
    tensors = load_file(tmp_path / "a" / WEIGHTS)
    assert tensors["mid_block.attentions.0.proj_in.weight"].ndim == (2 if linear else 4)
    assert_same(read_controlnet(tmp_path / "a")[1], params)


@pytest.mark.parametrize(
    "family", [name for name, spec in families.FAMILIES.items() if spec.small is None]
)
def test_layout_is_that_of_the_family(family):
    spec = families.FAMILIES[family]
    assert linear_by_heads(spec.unet) == spec.layout.linear_projection


@original
@pytest.mark.parametrize("prefix", ["", "control_model."])
def test_original_names(tmp_path, family, prefix):
    params, tensors = original_tensors(family)
    tensors = {prefix + name: tensor for name, tensor in tensors.items()}
    if prefix:  # the whole model that it was trained on may lie around it
        tensors["model.diffusion_model.out.0.bias"] = in_memory(np.zeros(3, np.float32))
    write_safetensors(tmp_path / "a.safetensors", tensors, {})
    config, tree = read_controlnet(tmp_path / "a.safetensors")
    assert config == ORIGINAL[family]
    assert_same(tree, params)


def test_names_of_a_real_file():
    tensors = unread(real_shapes("ControlNet-v1-SD"))
    config, linear = configuration(FileShapes(tensors, ""))
    assert config == ControlNetConfig(families.UNET_SD1)
    assert not linear
    shapes = controlnet_parameters(config)
    tree = fill(original_slots(config, linear=linear), shapes, tensors, "it")
    assert {path: tensor.shape for path, tensor in tree.items()} == shapes


def test_missing_unused_and_misshapen_are_listed(folder, tmp_path):
    def spoil(tensors):
        bias = tensors.pop("controlnet_mid_block.bias")
        return tensors | {"conv_in.bias": bias, "difference": bias}

    rewrite(folder / WEIGHTS, spoil)
    assert complaint(folder) == (
        f"{folder} does not fit: 1 missing: controlnet_mid_block.bias; 1 unused: difference; "
        "1 misshapen: conv_in.bias [64] instead of [32]"
    )
    _, tensors = original_tensors("sd1")
    del tensors["zero_convs.3.0.bias"]
    path = tmp_path / "a.safetensors"
    write_safetensors(path, tensors, {})
    assert complaint(path) == (
        f"{path} cannot be read as a ControlNet: it does not fit: 1 missing: zero_convs.3.0.bias"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"_class_name": "UNet2DConditionModel"},
        {"global_pool_conditions": True},
        {"controlnet_conditioning_channel_order": "bgr"},
        {"mid_block_type": "UNetMidBlock2D"},
        {"conditioning_channels": 0},
        {"conditioning_embedding_out_channels": "wide"},
        {"down_block_types": ["CrossAttnDownBlock2D", "AttnDownBlock2D"]},
        {"class_embed_type": "timestep"},
        {"addition_embed_type": "image"},
        {"time_cond_proj_dim": 256},
        {"a_setting_of_tomorrow": 3},
    ],
    ids=str,
)
def test_settings_that_are_not_supported_are_named(folder, settings):
    set_config(folder, **settings)
    message = complaint(folder)
    assert str(folder) in message
    name, value = next(iter(settings.items()))
    assert name in message or str(value) in message


def test_conditions_that_do_not_add_up(tmp_path):
    config = CONTROLNETS["sdxl"]
    write_controlnet(tmp_path / "a", config, random_controlnet(config))
    set_config(tmp_path / "a", projection_class_embeddings_input_dim=96)
    assert "96 added features are not a pooled vector and 6 sinusoids of 16" in complaint(
        tmp_path / "a"
    )


def test_sources_that_are_no_controlnet(folder, tmp_path):
    assert "no ControlNet at nowhere: no such file or folder" in complaint(Path("nowhere"))
    assert "diffusers' names" in complaint(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    assert "has no weights" in complaint(folder)
    (folder / "config.json").unlink()
    assert "has no config.json" in complaint(folder)
    other = tmp_path / "a.safetensors"
    write_safetensors(other, {"conv_in.bias": in_memory(np.zeros(3, np.float32))}, {})
    assert "not a ControlNet or T2I-Adapter of SD 1, 2 or XL" in complaint(other)


def test_what_diffusers_cannot_build_is_not_written(tmp_path):
    uneven = replace(SD1.unet, levels=(Level(32, 1, 1, 4), Level(64, 2, 0, 4)))
    unet = CONTROLNETS["sdxl"].unet
    refiner = replace(unet, added=replace(unet.added, time_ids=5))
    for unet, words in ((uneven, r"\[1, 2\] resnets"), (refiner, "5 time ids")):
        config = ControlNetConfig(unet)
        with pytest.raises(ValueError, match=words):
            write_controlnet(tmp_path / "a", config, random_controlnet(config))
    params = random_controlnet(SD1)
    del params["controlnet_mid_block"]
    with pytest.raises(ValueError, match="2 missing: controlnet_mid_block/bias"):
        write_controlnet(tmp_path / "a", SD1, params)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_unasked(folder, tmp_path):
    params = random_controlnet(SD1)
    with pytest.raises(FileExistsError, match="net exists"):
        write_controlnet(folder, SD1, params)
    write_controlnet(folder, SD1, params, overwrite=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/me.png").touch()
    with pytest.raises(FileExistsError, match="is not a model"):
        write_controlnet(tmp_path / "photos", SD1, params, overwrite=True)
