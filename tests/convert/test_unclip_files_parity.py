"""The image encoder inside of unCLIP's single files: OpenCLIP's names, of a tower in torch."""

from collections import OrderedDict
from dataclasses import replace

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tiny_models import relative_error
from torch import nn

from jaxsd import families
from jaxsd.config import SightConfig, VisionConfig
from jaxsd.convert.files.tensors import in_memory, load
from jaxsd.convert.original.names import VISION, single_file_slots
from jaxsd.convert.parameters import vision_parameters
from jaxsd.convert.slots import fill
from jaxsd.families import UNCLIP_NOISE
from jaxsd.models import VisionEncoder

pytestmark = pytest.mark.parity

TOWER = VisionConfig(24, 2, 3, 40, "gelu", image_size=16, patch_size=8, projection_dim=10)


class QuickGELU(nn.Module):
    """What CLIP-L was trained with."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


class Layer(nn.Module):
    """Attention and an MLP, each behind a norm."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width, wide = config.width, config.mlp_width
        between = {"gelu": nn.GELU, "quick_gelu": QuickGELU}[config.activation]()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, config.heads, batch_first=True)
        layers = {"c_fc": nn.Linear(width, wide), "gelu": between, "c_proj": nn.Linear(wide, width)}
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = self.ln_1(x)
        x = x + self.attn(seen, seen, seen, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Tower(nn.Module):
    """Radford et al. 2021, by the names of OpenAI's and of OpenCLIP's files."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.width
        self.conv1 = nn.Conv2d(3, width, config.patch_size, config.patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.positional_embedding = nn.Parameter(torch.randn(config.patches + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.Sequential(*(Layer(config) for _ in range(config.layers)))
        self.proj = nn.Parameter(torch.randn(width, config.projection_dim))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(images), 1, -1)
        x = torch.cat([first, patches], dim=1) + self.positional_embedding
        x = self.transformer.resblocks(self.ln_pre(x))
        return self.ln_post(x[:, 0]) @ self.proj


@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_the_tower_sees_what_it_sees_in_torch(activation: str) -> None:
    torch.manual_seed(0)
    config = replace(TOWER, activation=activation)
    twin = Tower(config)
    for parameter in twin.parameters():
        nn.init.normal_(parameter, std=0.3)
    spec = families.FAMILIES["sd2-unclip-h"]
    unet = replace(spec.unet, label_dim=2 * config.projection_dim)
    spec = replace(spec, unet=unet, sight=SightConfig(config, UNCLIP_NOISE))
    shapes = vision_parameters(config)
    slots = single_file_slots("vision", spec, shapes)
    tensors = {
        f"{VISION}{name}": in_memory(value.numpy()) for name, value in twin.state_dict().items()
    }
    params = load(fill(slots, shapes, tensors, "the file", strict=True))
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)
    got = jax.jit(VisionEncoder(config).apply)({"params": params}, images).embedding
    with torch.no_grad():
        want = twin(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    assert relative_error(np.asarray(got), want.numpy()) < 1e-5
