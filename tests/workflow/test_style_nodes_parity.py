"""A T2I style adapter of graphs against the same arithmetic in torch."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import transformers
from safetensors.torch import save_file
from slow_loop import relative_error
from torch import nn

from jaxsd.workflow import Workspace
from jaxsd.workflow.nodes import (
    clip_vision_encode,
    clip_vision_loader,
    style_model_apply,
    style_model_loader,
)
from jaxsd.workflow.values import Condition

pytestmark = pytest.mark.parity

WIDTH, CONTEXT, TOKENS = 32, 24, 3


class Block(nn.Module):
    """Attention and MLP with norms before them."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(WIDTH, 8, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(WIDTH, 4 * WIDTH), "c_proj": nn.Linear(4 * WIDTH, WIDTH)}
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        h = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](h * torch.sigmoid(1.702 * h))


class Style(nn.Module):
    """The adapter, with the names of its files."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer_layes = nn.Sequential(Block(), Block())
        self.style_embedding = nn.Parameter(torch.randn(1, TOKENS, WIDTH))
        self.ln_pre, self.ln_post = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.proj = nn.Parameter(torch.randn(WIDTH, CONTEXT))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([x, self.style_embedding.expand(len(x), -1, -1)], 1)
        x = self.transformer_layes(self.ln_pre(x))
        return self.ln_post(x[:, -TOKENS:]) @ self.proj


def test_tokens_of_a_style(tmp_path: Path) -> None:
    torch.manual_seed(0)
    adapter = Style()
    for weight in adapter.parameters():
        weight.data = torch.randn_like(weight) / (weight.shape[-1] ** 0.5)
    save_file(adapter.state_dict(), tmp_path / "style.safetensors")
    sizes = {"image_size": 16, "patch_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=40, projection_dim=16, **sizes
    )
    tower = transformers.CLIPVisionModelWithProjection(config).eval()
    tower.save_pretrained(tmp_path / "clip")
    place = Workspace(
        named={"clip_vision": str(tmp_path / "clip"), "style": str(tmp_path / "style.safetensors")}
    )
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.float32) / 255
    vision = clip_vision_loader(place, clip_name="clip")
    looked = clip_vision_encode(clip_vision=vision, image=pixels)
    style = style_model_loader(place, style_model_name="style")
    text = Condition(np.ones((1, 7, CONTEXT), np.float32), None)
    told = {"style_model": style, "clip_vision_output": looked}
    [made] = style_model_apply(conditioning=(text,), strength=0.7, **told)
    mean, std = (
        np.float32(one)
        for one in ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    )
    seen = torch.from_numpy((pixels - mean) / std).movedim(-1, 1)
    with torch.no_grad():
        found = tower(seen)
        want = 0.7 * adapter(found.last_hidden_state).reshape(1, -1, CONTEXT)
    assert relative_error(looked.embeds, found.image_embeds.numpy()) < 1e-5
    assert made.context.shape == (1, 7 + 2 * TOKENS, CONTEXT)
    np.testing.assert_array_equal(made.context[:, :7], text.context)
    assert relative_error(made.context[:, 7:], want.numpy()) < 1e-5
    other = Condition(np.ones((1, 7, 5), np.float32), None)
    with pytest.raises(ValueError, match="the style adapter is for a CLIP 32 wide and texts of 24"):
        style_model_apply(conditioning=(other,), **told)
    with pytest.raises(ValueError, match="attn_bias is not here"):
        style_model_apply(conditioning=(text,), strength=0.5, strength_type="attn_bias", **told)
    place.named = {"clip": str(tmp_path / "clip" / "model.safetensors")}
    with pytest.raises(ValueError, match="not a T2I style adapter"):
        style_model_loader(place, style_model_name="clip")
