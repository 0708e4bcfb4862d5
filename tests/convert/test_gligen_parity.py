"""GLIGEN's layers, tokens and the whole U-Net with them, against diffusers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import diffusers
from safetensors.torch import save_file
from tiny_models import uniform

from jaxsd.config import Level, UNetConfig
from jaxsd.convert.diffusers.parts import PARTS
from jaxsd.convert.diffusers.parts import UNET as UNET_CLASS
from jaxsd.convert.diffusers.unet_settings import unet_settings
from jaxsd.convert.files.tensors import load
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.gligen import open_gligen
from jaxsd.models import UNet
from jaxsd.models.gligen import GatedSelfAttention
from jaxsd.parity.modules import nchw, nhwc, relative_error
from jaxsd.sampling import Step
from jaxsd.sampling.call import Call, Networks, unet_call
from jaxsd.sampling.features.gligen import Boxes, hold, wrap

pytestmark = pytest.mark.parity

TOLERANCE = 1e-5
CONFIG = UNetConfig(
    levels=(Level(16, 1, 1, 2), Level(32, 1, 1, 4)), context_dim=24, mid_depth=1, norm_groups=8
)
TEXTS = 24
"""diffusers takes the width of contexts for that of pooled texts."""
THERE = np.arange(30) < np.array([[3], [0]])
"""Of a text with three boxes, and of one with learnt tokens alone."""
BOXES = np.abs(uniform("boxes", (2, 30, 4))) / 2
POOLED = uniform("pooled", (2, 30, TEXTS))


@pytest.fixture(scope="module")
def theirs() -> Any:
    settings = unet_settings(CONFIG, linear_projection=False, sample_size=8, upcast_attention=False)
    torch.manual_seed(1)
    unet = diffusers.UNet2DConditionModel.from_config(settings | {"attention_type": "gated"})
    for name, parameter in unet.named_parameters():
        if name.endswith(("alpha_attn", "alpha_dense", "feature", "bias")):
            torch.nn.init.normal_(parameter, std=0.5)
    return unet.eval()


@pytest.fixture(scope="module")
def params(theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Read from one file with everything, as diffusers writes it."""
    file = tmp_path_factory.mktemp("gligen") / "diffusion_pytorch_model.safetensors"
    save_file(theirs.state_dict(), file)
    return {**load(open_gligen(file, CONFIG, "sd1")), "unet": base(file)}


def base(file: Path) -> dict[str, Any]:
    tensors = open_weights(file)[0].items()
    own = {n: t for n, t in tensors if "fuser" not in n and not n.startswith("position_net")}
    return load(PARTS[UNET_CLASS].fill(CONFIG, own, "it", linear=False))


def held(params: dict[str, Any], *, used: bool = True) -> Any:
    """One image with two texts."""
    given = Boxes(POOLED[None], BOXES[None], THERE[None], np.full((1, 2), used))
    return hold(Networks(UNet(CONFIG), None, ()), params, given, None)


def objects() -> dict[str, torch.Tensor]:
    """What diffusers' U-Net is given beside the texts."""
    return {
        "boxes": torch.from_numpy(BOXES),
        "masks": torch.from_numpy(THERE.astype(np.float32)),
        "positive_embeddings": torch.from_numpy(POOLED),
    }


def test_tokens_of_boxes(theirs: Any, params: dict[str, Any]) -> None:
    with torch.no_grad():
        want = theirs.position_net(**objects()).numpy()
    assert relative_error(held(params).tokens[0], want) < TOLERANCE


def test_a_gated_layer(theirs: Any, params: dict[str, Any]) -> None:
    x, tokens = uniform("x", (2, 20, 32)), uniform("tokens", (2, 30, 24))
    layer = theirs.mid_block.attentions[0].transformer_blocks[0].fuser
    with torch.no_grad():
        want = layer(torch.from_numpy(x), torch.from_numpy(tokens)).numpy()
    tree = params["fusers"]["mid_block"]["attentions_0"]["transformer_blocks_0"]["fuser"]
    got = GatedSelfAttention(4, np.float32).apply({"params": tree}, x, tokens)
    assert relative_error(got, want) < TOLERANCE


@pytest.mark.release
@pytest.mark.parametrize("used", [True, False])
def test_a_whole_unet(theirs: Any, params: dict[str, Any], used: bool) -> None:
    """Two branches, which see the second text and the first one."""
    which = np.array([[1, 0]])
    x, context = uniform("x", (2, 8, 8, 4)), uniform("context", (2, 7, 24))
    networks = Networks(UNet(CONFIG), None, ())
    unet = wrap(networks, params, held(params, used=used), unet_call(networks, params))
    call = Call(x, np.float32([7, 400]), context, None, None, None)
    answer, _ = unet(call, Step(None, {"which": which}), {})
    own = {name: one[which[0]] for name, one in objects().items()}
    more = {"cross_attention_kwargs": {"gligen": own}} if used else {}
    with torch.no_grad():
        told = (torch.tensor([7, 400]), torch.from_numpy(context))
        want = theirs(nchw(x), *told, **more).sample
    assert relative_error(answer.output, nhwc(want)) < TOLERANCE
