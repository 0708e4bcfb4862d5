"""A ControlNet-Union against diffusers', from its own folder and file, in float32."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diffusers import ControlNetUnionModel
from tiny_models import CONTROLNETS, TINY, controlnet_inputs

from jaxsd.convert import read_controlnet
from jaxsd.models import ControlNet
from jaxsd.models.controlnet import Hint
from jaxsd.parity.modules import nchw, nhwc, relative_error

pytestmark = pytest.mark.parity

TOLERANCE = 1e-5
LEVEL = TINY["sdxl"].unet.levels[1]
UNET = replace(
    TINY["sdxl"].unet,
    levels=(LEVEL,),
    mid_depth=1,
    added=replace(TINY["sdxl"].unet.added, time_id_dim=256),  # which a single file does not tell
)
CONFIG = replace(CONTROLNETS["sdxl"], unet=UNET, hint_channels=(4, 6), kinds=6, kind_layers=1)


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


@pytest.mark.parametrize("weights", [None, (0.8, 0.3)])
def test_each_kind_of_picture(tmp_path: Path, weights: tuple[float, ...] | None) -> None:
    """What goes into the encoder, of one picture, and of two in one run.

    `test_controls_union_parity.py` compares what comes of it. diffusers attends over the batch, so
    it is given one image at a time.
    """
    net = twin()
    net.save_pretrained(tmp_path)
    config, params = read_controlnet(tmp_path)
    assert config == CONFIG
    inputs = controlnet_inputs(CONFIG)
    hints, kinds = (inputs["condition"],), np.int32([[3], [5]])
    if weights is not None:
        hints, kinds = (*hints, 1 - hints[0]), np.int32([[3, 0], [5, 1]])
    given = Hint(hints, kinds, weights and np.float32([weights] * 2))
    seen = jax.jit(ControlNet(config).seen)(params, given)
    found: dict[str, torch.Tensor] = {}
    net.conv_in.register_forward_hook(lambda _, __, out: found.update(latents=out))
    net.control_add_embedding.register_forward_hook(lambda _, __, out: found.update(time=out))
    net.down_blocks[0].register_forward_pre_hook(
        lambda _, __, given: found.update(encoded=given["hidden_states"]), with_kwargs=True
    )
    for i, own in enumerate(kinds.tolist()):
        told = {name: torch.from_numpy(value[i : i + 1]) for name, value in inputs.items()}
        with torch.no_grad():
            net(
                nchw(inputs["x"][i : i + 1]),
                told["timestep"],
                told["context"],
                [nchw(hint[i : i + 1]) for hint in hints],
                torch.nn.functional.one_hot(torch.tensor(own), 6).sum(0, keepdim=True),
                own,
                list(weights or [1.0]),
                added_cond_kwargs={"text_embeds": told["pooled"], "time_ids": told["time_ids"]},
            )
        hint = nhwc(found["encoded"] - found["latents"])
        assert relative_error(np.asarray(seen.hint[i : i + 1]), hint) <= TOLERANCE
        time = found["time"].numpy()
        assert relative_error(np.asarray(seen.time[i : i + 1]), time) <= TOLERANCE


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
