"""IP-Adapters against diffusers' pipelines: the same files, pictures, noise and tiny weights."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import diffusers
import ip_adapter_fakes
from diffusers_pairs import (
    SPECS,
    Pair,
    assert_same_pictures,
    draw_theirs,
    drawn,
    order_of,
    pair_of,
    pictures,
    pil,
)
from ip_adapter_fakes import Tensors, write_adapter

from jaxsd.settings import ImagePrompt

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

WIDTH, PROJECTED, SIDE = 24, 16, 32
SEEN = pictures("seen", 50, 90)


def with_adapters(family: str, folder: Path, kinds: list[Callable[..., Tensors]]) -> Pair:
    """A model whose U-Net in diffusers has adapters; their files and encoder are in the folder."""
    config = transformers.CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=3,
        image_size=SIDE,
        patch_size=8,
        projection_dim=PROJECTED,
    )
    torch.manual_seed(0)
    encoder = transformers.CLIPVisionModelWithProjection(config).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    encoder.save_pretrained(folder / "image_encoder")
    unet, names = SPECS[family].unet, []
    for kind in kinds:
        inputs = PROJECTED if kind is ip_adapter_fakes.plain else WIDTH
        names.append(f"{kind.__name__}.safetensors")
        write_adapter(folder / names[-1], unet, kind(inputs, unet.context_dim))
    pair = pair_of(family)
    parts = dict(pair.theirs.components) | {"unet": copy.deepcopy(pair.theirs.unet)}
    parts["feature_extractor"] = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size=SIDE
    )
    theirs = type(pair.theirs)(**parts)
    theirs.load_ip_adapter(str(folder), subfolder="", weight_name=names)
    return replace(pair, theirs=theirs)


@pytest.mark.parametrize(
    ("family", "kinds", "weights"),
    [
        ("sd1", ["plain", "plus"], [0.7, 0.45]),
        ("sdxl", ["full"], [0.6]),
    ],
)
def test_pictures_beside_the_prompt(
    family: str, kinds: list[str], weights: list[float], tmp_path: Path
) -> None:
    pair = with_adapters(family, tmp_path, [getattr(ip_adapter_fakes, kind) for kind in kinds])
    shown = SEEN[: len(kinds)]
    prompts = [
        ImagePrompt("given", str(tmp_path / f"{kind}.safetensors"), weight)
        for kind, weight in zip(kinds, weights, strict=True)
    ]
    order = order_of(pair, "ddim", ip_adapter=prompts, ip_adapter_images=shown, guidance_scale=4.0)
    ours = drawn(pair, order)
    pair.theirs.set_ip_adapter_scale(weights)
    xl = family == "sdxl"
    kind: Any = diffusers.StableDiffusionXLPipeline if xl else diffusers.StableDiffusionPipeline
    want = draw_theirs(pair, kind, "ddim", ip_adapter_image=pil(shown), guidance_scale=4.0)
    assert_same_pictures(ours, pair, want)
