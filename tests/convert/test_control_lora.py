"""ControlNets stored as changes to a U-Net, and single files in diffusers' names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from convert_fakes import assert_same, leaves, unread
from test_controlnet_files import (
    ORIGINAL,
    SD1,
    WEIGHTS,
    original_tensors,
    random_controlnet,
)
from tiny_models import CONTROLNETS

from jaxsd import families
from jaxsd.config import ControlNetConfig, UNetConfig
from jaxsd.convert import read_controlnet, write_control_lora, write_controlnet
from jaxsd.convert.adapter_parameters import controlnet_parameters
from jaxsd.convert.controlnet import whole
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import FlatTree, flatten, in_memory, load
from jaxsd.convert.names import torch_slots
from jaxsd.convert.original.controlnet import original_slots
from jaxsd.convert.parameters import unet_parameters
from jaxsd.convert.slots import lay_out
from jaxsd.types import Params

CONTROL_LORAS = pytest.mark.parametrize("family", CONTROLNETS)
RANK = 3
EMPTY = in_memory(np.zeros(0, np.float32))


def random_unet(config: UNetConfig, dtype: str = "float32") -> Params:
    generator = np.random.default_rng(1)
    return load(
        {
            path: in_memory(generator.standard_normal(shape, np.float32).astype(dtype))
            for path, shape in unet_parameters(config).items()
        }
    )


def original_file(
    config: ControlNetConfig, params: Params, *, linear: bool = False
) -> dict[str, np.ndarray]:
    """A ControlNet in the original code's names."""
    slots = original_slots(config, linear=linear)
    tensors = lay_out(slots, controlnet_parameters(config), flatten(params), "the tree")
    return {name: np.ascontiguousarray(tensor.read()) for name, tensor in tensors.items()}


def control_lora(
    config: ControlNetConfig, params: Params, gain: float, *, linear: bool = False
) -> dict[str, np.ndarray]:
    """A Control-LoRA's file: factors in place of the encoder's kernels, all else of `params`."""
    generator = np.random.default_rng(2)
    stored = {"lora_controlnet": np.zeros(0, np.float32)}
    for name, array in original_file(config, params, linear=linear).items():
        own = not name.startswith(("input_hint_block", "zero_convs", "middle_block_out"))
        if not own or array.ndim == 1:
            stored[name] = array
            continue
        module, ones = name.removesuffix(".weight"), [1] * (array.ndim - 2)
        up = generator.standard_normal((len(array), RANK, *ones), np.float32)
        stored[f"{module}.up"] = gain * up
        stored[f"{module}.down"] = generator.standard_normal((RANK, *array.shape[1:]), np.float32)
    return stored


def write(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    write_safetensors(path, {name: in_memory(array) for name, array in tensors.items()}, {})
    return path


def complaint(source: Path, **options) -> str:
    with pytest.raises(ValueError, match=str(source)) as caught:
        read_controlnet(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@CONTROL_LORAS
def test_factors_are_added_to_the_unets_kernels(tmp_path, family):
    """Against sums over the rank, written out for each of our layouts."""
    config = CONTROLNETS[family]
    unet, params = random_unet(config.unet), random_controlnet(config)
    stored = control_lora(config, params, 0.5)
    path = write(tmp_path / "a.safetensors", stored)
    got, tree = read_controlnet(path, unet=(config.unet, unet))
    assert got == config
    names = {slot.path: slot.name for slot in original_slots(config, linear=False)}
    own, whole, flat = leaves(unet), leaves(params), leaves(tree)
    kernels = 0
    for place, name in names.items():
        module = name.removesuffix(".weight")
        if f"{module}.up" not in stored or not name.endswith(".weight"):
            np.testing.assert_array_equal(flat[f"/{place}"], whole[f"/{place}"])
            continue
        up = stored[f"{module}.up"].reshape(-1, RANK)
        down = stored[f"{module}.down"]
        if flat[f"/{place}"].ndim == 4:
            change = np.einsum("or,rihw->hwio", up, down)
        else:
            change = np.einsum("or,ri->io", up, down.reshape(RANK, -1))
        # The sums over three products are rounded in another order.
        np.testing.assert_allclose(flat[f"/{place}"], own[f"/{place}"] + change, atol=1e-5)
        kernels += 1
    assert kernels > 20


@pytest.mark.parametrize("lazy", [False, True])
def test_zero_factors_are_the_unets_own_encoder(tmp_path, lazy):
    unet, params = random_unet(SD1.unet, "float16"), random_controlnet(SD1)
    stored = control_lora(SD1, params, 0.0)
    for name in [name for name in stored if name.startswith(("input_blocks", "time_embed"))]:
        if stored[name].ndim == 1:
            del stored[name]  # what a file does not have is the U-Net's
    path = write(tmp_path / "a.safetensors", stored)
    given = flatten(unet) if lazy else unet
    config, tree = read_controlnet(path, unet=(replace(SD1.unet, guidance_dim=8), given))
    assert config == SD1
    for name in ("conv_in", "time_embedding", "down_blocks_0", "down_blocks_1"):
        for place, array in leaves(unet[name]).items():
            np.testing.assert_array_equal(leaves(tree[name])[place], array, name)
    assert_same(tree["controlnet_mid_block"], params["controlnet_mid_block"])


def test_flattened_factors_and_other_dtypes(tmp_path):
    unet, params = random_unet(SD1.unet), random_controlnet(SD1)
    stored = control_lora(SD1, params, 0.5)
    wanted = read_controlnet(write(tmp_path / "a.safetensors", stored), unet=(SD1.unet, unet))[1]
    flat = {
        name: array.reshape(len(array), -1) if name.endswith((".up", ".down")) else array
        for name, array in stored.items()
    }
    path = write(tmp_path / "b.safetensors", flat)
    assert_same(read_controlnet(path, unet=(SD1.unet, unet))[1], wanted)
    tree = read_controlnet(path, unet=(SD1.unet, unet), dtype="float16")[1]
    assert tree["conv_in"]["kernel"].dtype == np.float16


@pytest.mark.parametrize("prefix", ["", "control_model."])
def test_differences(tmp_path, prefix):
    unet, params = random_unet(SD1.unet), random_controlnet(SD1)
    tensors = {prefix + name: array for name, array in original_file(SD1, params).items()}
    path = write(tmp_path / "a.safetensors", {"difference": np.zeros(0, np.float32)} | tensors)
    config, tree = read_controlnet(path, unet=(SD1.unet, unet))
    assert config == SD1
    own, change = leaves(unet), leaves(params)
    for place, array in leaves(tree).items():
        np.testing.assert_array_equal(array, change[place] + own.get(place, np.float32(0)))


def test_changes_that_do_not_fit(tmp_path):
    params = random_controlnet(SD1)
    stored = control_lora(SD1, params, 1.0)
    path = write(tmp_path / "a.safetensors", stored)
    assert "holds changes to a U-Net (lora_controlnet)" in complaint(path)
    other = CONTROLNETS["sd2"].unet
    message = complaint(path, unet=(other, random_unet(other)))
    assert "cannot be read as a ControlNet: it does not fit: " in message
    wide = replace(SD1.unet, in_channels=9)
    message = complaint(path, unet=(wide, random_unet(wide)))
    assert "input_blocks.0.0.weight, [32, 3, 1, 1] @ [3, 4, 3, 3], does not make [32, 9, 3, 3]" in (
        message
    )
    half = random_unet(SD1.unet)
    del half["conv_in"]
    message = complaint(path, unet=(SD1.unet, half))
    assert "the U-Net's tree does not fit: 2 missing: conv_in/bias, conv_in/kernel" in message
    del stored["time_embed.0.down"]
    path = write(tmp_path / "b.safetensors", stored)
    message = complaint(path, unet=(SD1.unet, random_unet(SD1.unet)))
    assert "1 unused: time_embed.0.up" in message
    del stored["input_hint_block.0.weight"]
    path = write(tmp_path / "c.safetensors", stored)
    assert "input_hint_block.0.weight is missing" in complaint(
        path, unet=(SD1.unet, random_unet(SD1.unet))
    )


@pytest.mark.parametrize(
    "config", [CONTROLNETS["sd1"], CONTROLNETS["sd2"], ORIGINAL["sdxl"]], ids=["1", "2", "xl"]
)
def test_a_single_file_in_diffusers_names(tmp_path, config):
    """Heads are the U-Net's, and so are the groups of its norms."""
    params = random_controlnet(config)
    write_controlnet(tmp_path / "net", config, params)
    file = tmp_path / "net" / WEIGHTS
    unet = replace(config.unet, norm_groups=16, guidance_dim=8)
    got, tree = read_controlnet(file, unet=(unet, {}))
    assert got == replace(config, unet=replace(unet, guidance_dim=None))
    assert_same(tree, params)
    other = replace(config.unet, context_dim=config.unet.context_dim + 1)
    message = complaint(file, unet=(other, {}))
    assert f"context {config.unet.context_dim}" in message
    assert "the given one has" in message
    assert f"context {other.context_dim}" in message


def test_heads_of_xl_are_64_wide(tmp_path):
    config = ORIGINAL["sdxl"]
    write_controlnet(tmp_path / "net", config, random_controlnet(config))
    assert read_controlnet(tmp_path / "net" / WEIGHTS)[0] == config


def diffusers_names(config: ControlNetConfig, linear: bool) -> FlatTree:
    shapes = controlnet_parameters(config)
    tree = unread(shapes)
    return lay_out(torch_slots(shapes, linear=linear), shapes, tree, "it")


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_families_are_known_by_their_shapes(family):
    spec = families.FAMILIES[family]
    config = ControlNetConfig(spec.unet)
    tensors = diffusers_names(config, spec.layout.linear_projection)
    got, tree = whole(tensors, None)
    assert got == config
    assert tree.keys() == controlnet_parameters(config).keys()


def test_heads_that_nobody_knows(tmp_path):
    write_controlnet(tmp_path / "net", SD1, random_controlnet(SD1))
    message = complaint(tmp_path / "net" / WEIGHTS)
    assert "do not tell the number of heads" in message
    assert "levels 32 x 2 (attention 1), 64 x 2 (attention 0), middle 1, context 32" in message
    assert "config.json" in message


def test_the_original_names_take_the_heads_of_a_unet_too(tmp_path):
    config = ORIGINAL["sd1"]
    params, tensors = original_tensors("sd1")
    write_safetensors(tmp_path / "a.safetensors", tensors, {})
    levels = tuple(replace(level, heads=4) for level in config.unet.levels)
    unet = replace(config.unet, levels=levels, norm_groups=16)
    got, tree = read_controlnet(tmp_path / "a.safetensors", unet=(unet, {}))
    assert got == replace(config, unet=unet)
    assert_same(tree, params)


def test_another_kind_is_named(tmp_path):
    tensors = {"lllite_unet_input_blocks_4_1.down.0.weight": np.zeros((2, 2), np.float32)}
    said = complaint(write(tmp_path / "a.safetensors", tensors))
    assert "is a ControlNet-LLLite, not a ControlNet or T2I-Adapter of SD 1, 2 or XL" in said


@CONTROL_LORAS
def test_what_was_a_change_of_that_rank_is_written_and_read_whole(tmp_path, family):
    config = CONTROLNETS[family]
    unet, params = random_unet(config.unet), random_controlnet(config)
    source = write(tmp_path / "a.safetensors", control_lora(config, params, 0.5))
    _, tree = read_controlnet(source, unet=(config.unet, unet))
    path = tmp_path / "b.safetensors"
    write_control_lora(path, config, tree, (config.unet, unet), rank=RANK, dtype="float32")
    got, again = read_controlnet(path, unet=(config.unet, unet))
    assert got == config
    assert path.stat().st_size < 1.1 * source.stat().st_size
    want, found = leaves(tree), leaves(again)
    for place in want:
        # Singular values in float32, and sums in another order.
        np.testing.assert_allclose(found[place], want[place], atol=3e-5)
    # A lower rank than the change has loses something.
    write_control_lora(path, config, tree, (config.unet, unet), rank=1, dtype="float32")
    _, less = read_controlnet(path, unet=(config.unet, unet))
    found = leaves(less)
    assert max(np.abs(found[place] - want[place]).max() for place in want) > 0.1
