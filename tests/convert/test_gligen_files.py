"""Files of GLIGEN's layers, under both kinds of names, alone and with the whole U-Net."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny_models import TINY, uniform

from jaxsd.convert.adapter_parameters import fuser_parameters, position_net_parameters
from jaxsd.convert.gligen import open_gligen
from jaxsd.convert.names import torch_slots
from jaxsd.convert.parameters import unet_parameters
from jaxsd.families import SD1
from jaxsd.models.gligen import GatedSelfAttention, PositionNet

UNET = TINY["sd1"].unet
TEXT_WIDTH = 6
PLACES = {
    "down_blocks.0.attentions.0": "input_blocks.1.1",
    "down_blocks.0.attentions.1": "input_blocks.2.1",
    "mid_block.attentions.0": "middle_block.1",
    "up_blocks.1.attentions.0": "output_blocks.3.1",
    "up_blocks.1.attentions.1": "output_blocks.4.1",
    "up_blocks.1.attentions.2": "output_blocks.5.1",
}
Tensors = dict[str, np.ndarray]


def layer(place: str, width: int) -> Tensors:
    """A gated layer, as PyTorch stores it."""
    shapes = {
        "alpha_attn": (),
        "alpha_dense": (),
        "linear.weight": (width, UNET.context_dim),
        "linear.bias": (width,),
        **{f"attn.{name}.weight": (width, width) for name in ("to_q", "to_k", "to_v", "to_out.0")},
        "attn.to_out.0.bias": (width,),
        "ff.net.0.proj.weight": (8 * width, width),
        "ff.net.0.proj.bias": (8 * width,),
        "ff.net.2.weight": (width, 4 * width),
        "ff.net.2.bias": (width,),
        **{f"norm{i}.{kind}": (width,) for i in (1, 2) for kind in ("weight", "bias")},
    }
    names = {f"{place}.transformer_blocks.0.fuser.{name}": s for name, s in shapes.items()}
    return {
        name: uniform(f"{place} {name}", shape or (1,)).reshape(shape)
        for name, shape in names.items()
    }


def position_net() -> Tensors:
    sides = (TEXT_WIDTH + 64, 512, 512, UNET.context_dim)
    made = {"null_positive_feature": (TEXT_WIDTH,), "null_position_feature": (64,)}
    for i in range(3):
        made |= {f"linears.{2 * i}.weight": (sides[i + 1], sides[i])}
        made |= {f"linears.{2 * i}.bias": (sides[i + 1],)}
    return {f"position_net.{name}": uniform(name, shape) for name, shape in made.items()}


def diffusers() -> Tensors:
    layers = {}
    for place in PLACES:
        layers |= layer(place, 64 if place.startswith("mid") else 32)
    return position_net() | layers


def original() -> Tensors:
    def renamed(name: str) -> str:
        place, dot, rest = name.partition(".transformer_blocks.")
        return PLACES.get(place, place) + dot + rest

    return {renamed(name): array for name, array in diffusers().items()}


def whole() -> Tensors:
    """With the U-Net that it was trained with, as diffusers' pipelines have it."""
    zero = np.zeros(1, np.float32)  # never read
    return diffusers() | {slot.name: zero for slot in torch_slots(unet_parameters(UNET))}


def opened(tensors: Tensors, folder: Path) -> dict:
    save_file(tensors, folder / "own.safetensors")
    return open_gligen(folder / "own.safetensors", UNET, "sd1")


@pytest.mark.parametrize("made", [diffusers, original, whole])
def test_layouts(made: Callable[[], Tensors], tmp_path: Path) -> None:
    tree, truth = opened(made(), tmp_path), diffusers()
    names = {path.split("/", 1)[1] for path in tree if path.startswith("position_net")}
    assert names == position_net_parameters(TEXT_WIDTH, UNET.context_dim).keys()
    blocks = {path.split("/fuser/")[0] for path in tree if path.startswith("fusers")}
    assert len(blocks) == len(PLACES)
    block = "up_blocks_1/attentions_2/transformer_blocks_0"
    name = "up_blocks.1.attentions.2.transformer_blocks.0.fuser"
    for path, key in (("attn/to_k/kernel", "attn.to_k.weight"), ("alpha_attn", "alpha_attn")):
        got = tree[f"fusers/{block}/fuser/{path}"].read()
        np.testing.assert_array_equal(got, truth[f"{name}.{key}"].T)
    got = tree["position_net/linears_2/kernel"].read()
    np.testing.assert_array_equal(got, truth["position_net.linears.2.weight"].T)


def test_folders(tmp_path: Path) -> None:
    """Of a U-Net, and of a pipeline."""
    unet = tmp_path / "unet"
    unet.mkdir()
    save_file(diffusers(), unet / "diffusion_pytorch_model.safetensors")
    assert open_gligen(unet, UNET, "sd1").keys() == open_gligen(tmp_path, UNET, "sd1").keys()


def test_parameters_are_those_of_the_networks() -> None:
    net, layer, width = PositionNet(7), GatedSelfAttention(2, np.float32), UNET.context_dim
    args = (np.zeros((1, 2, 5)), np.zeros((1, 2, 4)), np.zeros((1, 2), bool))
    assert flat(net, *args) == position_net_parameters(5, 7)
    within = "down_blocks_0/attentions_0/transformer_blocks_0/fuser/"
    found = flat(layer, np.zeros((1, 3, 32)), np.zeros((1, 2, width)))
    own = fuser_parameters(UNET).items()
    assert found == {p.removeprefix(within): shape for p, shape in own if p.startswith(within)}


def flat(network: Any, *args: np.ndarray) -> dict[str, tuple[int, ...]]:
    tree = jax.eval_shape(network.init, jax.random.key(0), *args)["params"]
    paths = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(key.key for key in path): leaf.shape for path, leaf in paths}


def test_the_size_of_the_published_file() -> None:
    """gligen_sd14_textbox_pruned.safetensors has 836,445,074 bytes, 36,114 of them its header."""
    trees = (position_net_parameters(768, 768), fuser_parameters(SD1.unet))
    count = sum(math.prod(shape) for tree in trees for shape in tree.values())
    assert 4 * count == 836_445_074 - 36_114


def test_other_files_are_refused(tmp_path: Path) -> None:
    def refused(tensors: Tensors) -> str:
        with pytest.raises(ValueError, match=r"own\.safetensors") as error:
            opened(tensors, tmp_path)
        assert "\n" not in str(error.value)
        return str(error.value)

    own, zero = original(), np.zeros(2, np.float32)
    assert "is a LoRA, and not GLIGEN's layers" in refused({"a.lora_up.weight": zero})
    assert "1 unused: input_blocks.1.1.other" in refused(own | {"input_blocks.1.1.other": zero})
    lacking = {name: array for name, array in own.items() if "output_blocks.5.1" not in name}
    assert "17 missing: output_blocks.5.1.transformer_blocks.0.fuser.alpha_attn" in refused(lacking)
    pictures = own | {"position_net.null_image_feature": zero}
    assert "also sees pictures in boxes" in refused(pictures)
    last = {"position_net.linears.4.weight": np.zeros((9, 512), np.float32)}
    assert "they are for texts 9 wide, and those of sd1 are 32 wide; take" in refused(own | last)
