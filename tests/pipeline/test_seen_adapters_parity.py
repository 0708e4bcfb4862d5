"""IP-Adapters and T2I-Adapters against diffusers' pipelines: the same files, pictures and noise.

Compiling a U-Net takes most of the time, so a drawing compares several adapters.
"""

import copy
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import diffusers
import diffusers_pairs
import numpy as np
from diffusers_pairs import (
    SPECS,
    Pair,
    assert_same_latents,
    draw_theirs,
    order_of,
    pair_of,
    pictures,
    pil,
)
from ip_adapter_fakes import Tensors, face, full, lora_within, plain, plus, write_adapter
from PIL import Image
from safetensors.torch import save_file
from tiny_models import TINY, uniform

from jaxsd.config import Level, ModelSpec
from jaxsd.parity.modules import nchw
from jaxsd.pipeline import with_controlnet
from jaxsd.settings import Control, ImagePrompt

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

WIDTH, PROJECTED, SIDE = 24, 16, 32
SEEN = pictures("seen", 50, 90)
[HINT, SKETCH] = pictures("hint", 64, 80)
MASK = np.zeros((64, 72), np.uint8)
MASK[10:, :40] = 255


def smaller(family: str, *levels: Level) -> ModelSpec:
    spec = TINY[family]
    text = tuple(replace(config, layers=2) for config in spec.text)
    return replace(spec, text=text, unet=replace(spec.unet, levels=levels, mid_depth=1))


SPECS["sd1-small"] = smaller("sd1", Level(32, 1, 1, 4))
LEVELS = Level(16, 1, 1, 2), Level(32, 1, 1, 2), Level(64, 1, 1, 2), Level(64, 1, 0, 2)
SPECS["sd1-t2i"] = smaller("sd1", *LEVELS)
XL_LEVELS = Level(32, 1, 0, 2), Level(48, 1, 1, 4), Level(64, 1, 1, 8)
SPECS["sdxl-t2i"] = smaller("sdxl", *XL_LEVELS)


def with_ip_adapters(family: str, folder: Path, kinds: list[Callable[..., Tensors]]) -> Pair:
    """A model whose U-Net in diffusers has adapters; their files and encoder are in the folder."""
    config = transformers.CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=40,
        num_hidden_layers=2,
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
        inputs = PROJECTED if kind is plain else WIDTH
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


def t2i_adapter(**settings: Any) -> diffusers.T2IAdapter:
    """An adapter of random weights that keep what they are given about as large as it is."""
    torch.manual_seed(len(str(settings)))
    made = diffusers.T2IAdapter(num_res_blocks=2, **settings)
    for parameter in made.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 25
        torch.nn.init.normal_(parameter, std=0.7 * fan_in**-0.5)
    return made


def original(name: str) -> str:
    """A name of diffusers in TencentARC's files."""
    name = name.removeprefix("adapter.")
    if found := re.match(r"body\.(\d)\.resnets\.(\d)\.(.*)", name):
        return f"body.{2 * int(found[1]) + int(found[2])}.{found[3]}"
    found = re.match(r"body\.(\d)\.(.*)", name)
    return f"body.{2 * int(found[1])}.{found[2]}" if found else name


def test_ip_adapters_of_sd1(tmp_path: Path) -> None:
    """A plain one with weights by block, as InstantStyle's, in a part; and a Plus."""
    pair = with_ip_adapters("sd1-small", tmp_path, [plain, plus])
    prompts = [
        ImagePrompt("given", str(tmp_path / "plain.safetensors"), blocks="up.0.1=1.3,down=0.4"),
        ImagePrompt("given", str(tmp_path / "plus.safetensors"), 0.45),
    ]
    options = {"ip_adapter_images": SEEN, "ip_adapter_masks": [MASK], "guidance_scale": 4.0}
    order = order_of(pair, "ddim", ip_adapter=prompts, **options)
    pair.theirs.set_ip_adapter_scale([{"up": {"block_0": [0.0, 1.3]}, "down": 0.4}, 0.45])
    kind = diffusers.StableDiffusionPipeline
    processor = diffusers.image_processor.IPAdapterMaskProcessor()
    masks = [Image.fromarray(one) for one in (MASK, np.full_like(MASK, 255))]
    masks = list(processor.preprocess(masks, *MASK.shape)[:, None])
    told = {"guidance_scale": 4.0, "cross_attention_kwargs": {"ip_adapter_masks": masks}}
    want = draw_theirs(pair, kind, "ddim", ip_adapter_image=pil(SEEN), **told)
    assert_same_latents(pair, order, want)


@pytest.mark.release
@pytest.mark.parametrize("family", ["sd1-small", "sdxl-t2i"])
def test_face_id(tmp_path: Path, family: str) -> None:
    """With the LoRA inside of the file, of all attentions."""
    unet, pair = SPECS[family].unet, pair_of(family)
    tensors = face(12, unet.context_dim)
    file = write_adapter(tmp_path / "face.safetensors", unet, tensors, lora_within(unet))
    parts = dict(pair.theirs.components) | {"unet": copy.deepcopy(pair.theirs.unet)}
    theirs = type(pair.theirs)(**parts)
    theirs.load_ip_adapter(
        str(tmp_path), subfolder="", weight_name=file.name, image_encoder_folder=None
    )
    theirs.set_ip_adapter_scale(0.7)
    seen = uniform("face", (1, 12))
    seen /= np.linalg.norm(seen)
    both = torch.from_numpy(np.concatenate([np.zeros_like(seen), seen])[:, None])
    size = {"height": 64, "width": 80 if "xl" in family else 72}
    told = size | {"guidance_scale": 4.0, "num_inference_steps": 10, "output_type": "latent"}
    theirs.scheduler = diffusers_pairs.SAMPLERS["ddim"].from_config(pair.settings)
    noise = uniform("noise of a face", (1, 8, size["width"] // 8, 4))
    with mock.patch.object(
        sys.modules[type(theirs).__module__], "randn_tensor", return_value=nchw(noise)
    ):
        want = theirs("a portrait", ip_adapter_image_embeds=[both], **told).images
    order = pair.ours.order(
        ["a portrait"],
        ip_adapter=[ImagePrompt("given", str(file), 0.7)],
        ip_adapter_images=seen,
        guidance_scale=4.0,
        steps=10,
        sampler="ddim",
        latents=noise,
        **size,
    )
    assert_same_latents(pair, order, want)


def test_t2i_adapters_of_sd1(tmp_path: Path) -> None:
    """A full one in a file of the original code, and a light one for grey pictures in a folder.

    The sides of features are odd.
    """
    pair = pair_of("sd1-t2i")
    full = t2i_adapter(channels=[16, 32, 64, 64])
    tensors = {original(name): tensor for name, tensor in full.state_dict().items()}
    save_file(tensors, tmp_path / "full.safetensors")
    light = t2i_adapter(channels=[16, 32, 64], adapter_type="light_adapter", in_channels=1)
    light.save_pretrained(tmp_path / "light")
    for name in ("full.safetensors", "light"):
        pair = replace(pair, ours=with_controlnet(pair.ours, tmp_path / name, name))
    hint, sketch = HINT[:, :72], SKETCH[:, :72, :1]
    control = [Control("given", "full.safetensors", 0.9), Control("given", "light", 0.5)]
    options = {"control": control, "control_images": [hint, sketch.repeat(3, axis=-1)]}
    want = draw_theirs(
        pair,
        diffusers.StableDiffusionAdapterPipeline,
        "ddim",
        parts={"adapter": diffusers.MultiAdapter([full, light])},
        image=[pil([hint] * 2), [Image.fromarray(sketch[..., 0])] * 2],
        adapter_conditioning_scale=[0.9, 0.5],
        guidance_scale=4.0,
    )
    assert_same_latents(pair, order_of(pair, "ddim", guidance_scale=4.0, **options), want)


def test_both_kinds_of_xl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A T2I-Adapter in a part of the steps, and an IP-Adapter Full Face in all."""
    monkeypatch.setattr(diffusers_pairs, "WIDTH", 80)
    monkeypatch.setattr(diffusers_pairs, "NOISE", uniform("noise of XL", (2, 8, 10, 4)))
    pair = with_ip_adapters("sdxl-t2i", tmp_path, [full])
    pair.theirs.set_ip_adapter_scale([0.6])
    settings = {"adapter_type": "full_adapter_xl", "downscale_factor": 16}
    made = t2i_adapter(channels=[32, 48, 64, 64], **settings)
    made.save_pretrained(tmp_path / "xl")
    pair = replace(pair, ours=with_controlnet(pair.ours, tmp_path / "xl", "xl"))
    options = {
        "control": [Control("given", "xl", 0.8, 0.0, 0.6)],
        "control_images": [HINT],
        "ip_adapter": [ImagePrompt("given", str(tmp_path / "full.safetensors"), 0.6)],
        "ip_adapter_images": SEEN[:1],
    }
    want = draw_theirs(
        pair,
        diffusers.StableDiffusionXLAdapterPipeline,
        "ddim",
        parts={"adapter": made},
        image=pil([HINT] * 2),
        ip_adapter_image=pil(SEEN[:1]),
        adapter_conditioning_scale=0.8,
        adapter_conditioning_factor=0.6,
        guidance_scale=4.0,
    )
    assert_same_latents(pair, order_of(pair, "ddim", guidance_scale=4.0, **options), want)
