"""A ControlNet-Union against diffusers', from its own folder and file, in float32."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diffusers import ControlNetUnionModel
from module_parity import nchw, nhwc, relative_error
from tiny_models import CONTROLNETS, TINY, apply, controlnet_inputs

from jaxsd.convert import read_controlnet
from jaxsd.models import ControlNet
from jaxsd.models.controlnet import Hint

pytestmark = pytest.mark.parity

TOLERANCE = 1e-5
LEVEL = TINY["sdxl"].unet.levels[1]
UNET = replace(
    TINY["sdxl"].unet,
    levels=(LEVEL,),
    mid_depth=1,
    added=replace(TINY["sdxl"].unet.added, time_id_dim=256),  # which a single file does not tell
)
CONFIG = replace(CONTROLNETS["sdxl"], unet=UNET, kinds=6, kind_layers=1)


def twin() -> ControlNetUnionModel:
    """Random weights in all layers, those that begin as zero among them."""
    torch.manual_seed(0)
    net = ControlNetUnionModel(
        conditioning_embedding_out_channels=CONFIG.hint_channels,
        block_out_channels=[LEVEL.channels],
        layers_per_block=LEVEL.resnets,
        down_block_types=["CrossAttnDownBlock2D"],
        transformer_layers_per_block=1,
        attention_head_dim=LEVEL.heads,
        cross_attention_dim=UNET.context_dim,
        norm_num_groups=UNET.norm_groups,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=UNET.added.time_id_dim,
        projection_class_embeddings_input_dim=UNET.added.features,
        num_trans_channel=LEVEL.channels,
        num_proj_channel=LEVEL.channels,
    )
    for parameter in net.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return net.eval()


def test_each_kind_of_picture(tmp_path: Path) -> None:
    """diffusers attends over the batch, so it is given one picture at a time."""
    net = twin()
    net.save_pretrained(tmp_path)
    config, params = read_controlnet(tmp_path)
    assert config == CONFIG
    inputs = controlnet_inputs(CONFIG)
    kinds = np.int32([3, 5])
    seen = ControlNet(config).seen(params, Hint(inputs.pop("condition"), kinds))
    given = inputs | {"hint": seen.hint, "added_time": seen.time}
    got = apply(ControlNet(config), params, **given)
    condition = controlnet_inputs(CONFIG)["condition"]
    for i, kind in enumerate(kinds.tolist()):
        told = {name: torch.from_numpy(value[i : i + 1]) for name, value in inputs.items()}
        with torch.no_grad():
            down, mid = net(
                nchw(inputs["x"][i : i + 1]),
                told["timestep"],
                told["context"],
                [nchw(condition[i : i + 1])],
                torch.nn.functional.one_hot(torch.tensor([kind]), 6),
                [kind],
                added_cond_kwargs={"text_embeds": told["pooled"], "time_ids": told["time_ids"]},
                return_dict=False,
            )
        for ours, wanted in zip((*got.down, got.mid), (*down, mid), strict=True):
            assert relative_error(np.asarray(ours[i : i + 1]), nhwc(wanted)) <= TOLERANCE


def test_a_single_file_and_the_config_that_the_maker_has(tmp_path: Path) -> None:
    twin().save_pretrained(tmp_path)
    config, params = read_controlnet(tmp_path)
    file = next(tmp_path.glob("*.safetensors"))
    told, same = read_controlnet(file, unet=(UNET, {}))
    assert told == config
    assert same.keys() == params.keys()
    settings = json.loads((tmp_path / "config.json").read_text())
    plain = {name: value for name, value in settings.items() if "trans" not in name}
    plain["_class_name"] = "ControlNetModel"
    (tmp_path / "config.json").write_text(json.dumps(plain))
    assert read_controlnet(tmp_path)[0] == config
