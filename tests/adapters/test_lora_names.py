"""Names of kernels in LoRA files, against lists of real files and each other."""

import re

import pytest
from lora_fakes import abstract_params
from real_files import listed
from tiny_models import TINY

from jaxsd import families
from jaxsd.adapters.lora import targets
from jaxsd.adapters.lora_names import adapted_kernels, spellings

FULL = ["sd1", "sd2", "sdxl", "sdxl-refiner"]


@pytest.mark.parametrize("family", TINY)
def test_every_kernel_that_can_be_adapted_has_names(family):
    spec = TINY[family]
    kernels = adapted_kernels(spec)
    assert sorted(path for path in kernels if path.endswith("kernel")) == sorted(
        targets(abstract_params(spec), ["."])
    )
    assert set(spellings(spec).values()) == set(kernels)


@pytest.mark.parametrize("family", FULL)
def test_no_two_kernels_share_a_name(family):
    spec = families.FAMILIES[family]
    kernels = adapted_kernels(spec)
    assert len({kernel.kohya for kernel in kernels.values()}) == len(kernels)
    assert len({(kernel.part, kernel.module) for kernel in kernels.values()}) == len(kernels)
    names = spellings(spec)
    for path, kernel in kernels.items():
        assert names[kernel.kohya] == names[f"{kernel.part}.{kernel.module}"] == path


def test_names_of_xl():
    """Kohya's of the original code against diffusers', pair by pair."""
    kernels = adapted_kernels(families.SDXL).values()
    names = {f"{kernel.part}.{kernel.module}": kernel.kohya for kernel in kernels}
    block = "transformer_blocks.0.attn1.to_q"
    pairs = {
        f"unet.down_blocks.1.attentions.0.{block}": f"unet_input_blocks_4_1_{block}",
        "unet.down_blocks.1.attentions.1.proj_in": "unet_input_blocks_5_1_proj_in",
        "unet.down_blocks.0.resnets.0.conv1": "unet_input_blocks_1_0_in_layers_2",
        "unet.down_blocks.0.downsamplers.0.conv": "unet_input_blocks_3_0_op",
        "unet.mid_block.attentions.0.transformer_blocks.9.ff.net.0.proj": (
            "unet_middle_block_1_transformer_blocks_9_ff_net_0_proj"
        ),
        "unet.up_blocks.0.upsamplers.0.conv": "unet_output_blocks_2_2_conv",
        "unet.up_blocks.2.resnets.2.conv_shortcut": "unet_output_blocks_8_0_skip_connection",
        "unet.add_embedding.linear_2": "unet_label_emb_0_2",
        "text_encoder.text_model.encoder.layers.11.self_attn.k_proj": (
            "te1_text_model_encoder_layers_11_self_attn_k_proj"
        ),
        "text_encoder_2.text_model.encoder.layers.31.mlp.fc2": (
            "te2_text_model_encoder_layers_31_mlp_fc2"
        ),
    }
    for name, kohya in pairs.items():
        assert names[name] == f"lora_{kohya}".replace(".", "_")


def test_names_of_xl_are_those_of_the_real_model():
    """The list is of the original model's tensors; whatever has a weight has a name."""
    rows = listed("sd_keys/UNET-XL-SD.txt").split("\n")
    found = [re.match(r"(?:model\.diffusion_model\.)?(\S+)\.weight \[(\S+)\]", row) for row in rows]
    weights = {match[1] for match in found if match}
    kernels = adapted_kernels(families.SDXL).values()
    ours = {kernel.kohya for kernel in kernels if kernel.part == "unet"}
    assert ours == {f"lora_unet_{name.replace('.', '_')}" for name in weights}
    assert len(ours) > 700


@pytest.mark.parametrize("name", ["v1", "v1A"])
def test_keys_of_real_files_of_kohya(name):
    """Every key of a real LoRA of SD 1 is known, and the other way round has the kernel's width."""
    names, kernels = spellings(families.SD1), adapted_kernels(families.SD1)
    found = set()
    for part in ("UNET", "CLIP"):
        for row in listed(f"sd_keys/LoRA-{name}-{part}.txt").split("\n"):
            if not (match := re.match(r"(\w+)\.(\S+)(?: \[(\S*)\])?", row)):
                continue
            path = names[match[1]]
            found.add(path)
            assert kernels[path].kohya == match[1]
            if match[2] == "lora_down.weight":
                assert int(match[3].split(",")[1]) == kernels[path].shape[0]
                assert (match[3].count(",") == 3) == (kernels[path].kind == "pointwise")
            elif match[2] == "lora_up.weight":
                assert int(match[3].split(",")[0]) == kernels[path].shape[-1]
            else:
                assert match[2] == "alpha"
    assert len(found) == 192 + 72  # 16 transformers of 12 kernels, 12 layers of 6
