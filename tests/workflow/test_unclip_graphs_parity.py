"""Pictures that models are told of, as ComfyUI tells them, against torch and transformers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import diffusers
from comfy_twin import Twin, euler, noise_of
from diffusers_pairs import SPECS
from graphs import GRAPH, changed
from PIL import Image
from tiny_models import pipeline_params
from torch.nn.functional import interpolate

from jaxsd.convert import write_diffusers
from jaxsd.parity.pipelines import psnr
from jaxsd.workflow import Workspace, arrays, graph_of, run_graph
from jaxsd.workflow.sights import clip_seen, labels_of, pooled_of
from jaxsd.workflow.values import Condition, Model, Seen

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SEED, CFG, WIDTH = 5, 4.0, 16
RNG = np.random.default_rng(7)
PICTURE = RNG.integers(0, 256, (50, 90, 3), np.uint8)


def prepared(pixels: torch.Tensor, side: int, *, crop: bool) -> torch.Tensor:
    """As ComfyUI prepares pictures [B, H, W, 3] for CLIP."""
    x = pixels.movedim(-1, 1)
    size = (side, side)
    if crop:
        scale = side / min(x.shape[2:])
        size = tuple(round(scale * one) for one in x.shape[2:])
    x = interpolate(x, size=size, mode="bicubic", antialias=True)
    top, left = ((one - side) // 2 for one in x.shape[2:])
    x = x[:, :, top : top + side, left : left + side]
    x = torch.clip(255 * x, 0, 255).round() / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def noised(embedding: Any, share: float, mean: Any, std: Any) -> torch.Tensor:
    """[1, d] with noise of a share of the levels, by the cosine schedule, and the level's code."""
    steps = torch.linspace(0, 1, 1001, dtype=torch.float64)
    kept = torch.cos((steps + 0.008) / 1.008 * torch.pi / 2) ** 2
    betas = torch.clip(1 - kept[1:] / kept[:-1], max=0.999)
    level = round(999 * share)
    alpha = torch.cumprod(1 - betas, 0)[level]
    x = (embedding - mean) / std
    x = alpha.sqrt().float() * x + (1 - alpha).sqrt().float() * noise_of(SEED - 10, x.shape)
    half = x.shape[1] // 2
    angles = level * torch.exp(-np.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    code = torch.cat([angles.cos(), angles.sin()])[None]
    return torch.cat([x * std + mean, code], dim=1)


@pytest.mark.parametrize("crop", [True, False])
def test_pictures_are_prepared_alike(crop: bool) -> None:
    pixels = np.float32(PICTURE)[None] / 255
    want = prepared(torch.from_numpy(pixels), 32, crop=crop).movedim(1, -1)
    got = clip_seen(pixels, 32, crop=crop)
    # A byte may be rounded to the other side.
    assert np.abs(got - want.numpy()).max() < 1.01 / 255 / min(STD)
    assert np.abs(got - want.numpy()).mean() < 1e-4


def test_what_the_network_is_told() -> None:
    """One picture, and the sum of two, with a seed below 10."""
    spec = SPECS["unclip"]
    mean, std = RNG.normal(size=(2, 1, WIDTH)).astype(np.float32)
    params = {"mean": mean, "std": np.abs(std)}
    a, b = RNG.normal(size=(2, 1, WIDTH)).astype(np.float32)
    model = Model(spec, {}, None, "float32", normalizer=params)
    one, two = Seen(a, 0.8, 0.25), Seen(b, -0.5, 0.1)
    empty = Condition(np.zeros((1, 77, 4), np.float32), np.zeros((1, WIDTH), np.float32))
    sides = arrays.Sides(
        (empty,), (replace(empty, seen=(one,)), replace(empty, seen=(one, two))), 2
    )
    got = labels_of(model, sides, SEED, batch=2).labels
    a, b, mean, std = map(torch.from_numpy, (a, b, mean, np.abs(std)))
    told = [0.8 * noised(a, 0.25, mean, std), -0.5 * noised(b, 0.1, mean, std)]
    both = noised((told[0] + told[1])[:, :WIDTH], 0.05, mean, std)
    want = np.concatenate([np.zeros((1, 2 * WIDTH)), told[0], both])
    np.testing.assert_allclose(got, np.stack([want, want]), rtol=1e-5, atol=1e-5)
    pooled = pooled_of(sides.positive[0], SEED)
    np.testing.assert_allclose(pooled, 0.8 * noised(a, 0.25, 0.0, 1.0)[:, :WIDTH], rtol=1e-5)
    assert pooled_of(empty, SEED) is empty.pooled


@pytest.mark.release
def test_an_unclip_draws_what_it_is_told(tmp_path: Path) -> None:
    tiny = SPECS["unclip"]
    text = tuple(
        replace(one, vocab_size=49408, pad_token=one.pad_token and 49407) for one in tiny.text
    )
    spec = replace(tiny, text=text)
    write_diffusers(tmp_path / "unclip", spec, pipeline_params(spec))
    Image.fromarray(PICTURE).save(tmp_path / "picture.png")
    place = Workspace(
        named={"checkpoints": str(tmp_path / "unclip")}, inputs=tmp_path, outputs=tmp_path / "out"
    )
    nodes = {
        "4": {"class_type": "unCLIPCheckpointLoader", "ckpt_name": "unclip"},
        "5": {"batch_size": 1},
        "6": {"text": "a cat"},
        "7": {"text": "blurry"},
        "10": {"class_type": "LoadImage", "image": "picture.png"},
        "11": {
            "class_type": "CLIPVisionEncode",
            "clip_vision": ["4", 3],
            "image": ["10", 0],
            "crop": "center",
        },
        "12": {
            "class_type": "unCLIPConditioning",
            "conditioning": ["6", 0],
            "clip_vision_output": ["11", 0],
            "strength": 0.9,
            "noise_augmentation": 0.2,
        },
        "3": {"positive": ["12", 0]},
    }
    images = run_graph(graph_of(changed(GRAPH, nodes), "test"), place)["9"]
    with torch.no_grad():
        pipe = diffusers.DiffusionPipeline.from_pretrained(
            tmp_path / "unclip", feature_extractor=None
        )
        twin = Twin(pipe)
        pixels = prepared(torch.from_numpy(np.float32(PICTURE)[None] / 255), 32, crop=True)
        embedding = pipe.image_encoder(pixels).image_embeds
        mean, std = pipe.image_normalizer.mean, pipe.image_normalizer.std
        label = 0.9 * noised(embedding, 0.2, mean, std)
        red, blue = twin.text([("a cat", 1.0)]), twin.text([("blurry", 1.0)])

        def x0(x: torch.Tensor, sigma: float, context: torch.Tensor, label: torch.Tensor) -> Any:
            v = twin.eps(x, sigma, context, class_labels=label)  # the U-Net predicts v
            return x / (sigma**2 + 1) - v * sigma / (sigma**2 + 1) ** 0.5

        def run(x: torch.Tensor, sigma: float) -> torch.Tensor:
            uncond = x0(x, sigma, blue, torch.zeros_like(label))
            return uncond + CFG * (x0(x, sigma, red, label) - uncond)

        sigmas = twin.karras(4)
        noise = noise_of(SEED, (1, 4, 8, 9))
        x, _ = twin.begun(noise, torch.zeros_like(noise), sigmas[0])
        figure = psnr(images, twin.decode(euler(run, x, sigmas) / twin.scale).numpy())
    print(f"{figure:.1f} dB")
    assert figure > 80
