"""U-Nets in tiles, with maps that shrink, and x4 upscalers of graphs, against torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from comfy_twin import Twin, euler, noise_of, sized
from PIL import Image
from tiny_graphs import BLUE, CFG, RED, SEED, begun, drawn, same, twin_of, written
from tiny_models import TINY

from jaxsd.workflow import Workspace
from jaxsd.workflow.token_merging import divided

pytestmark = [
    pytest.mark.parity,
    pytest.mark.release,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

Tensor = torch.Tensor


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def twin(folder: Path) -> Iterator[Twin]:
    with torch.no_grad():
        yield twin_of(written(folder, unet=TINY["sd1"].unet))


def place_of(folder: Path, family: str) -> Workspace:
    return Workspace(
        named={"checkpoints": str(folder / family)}, inputs=folder, outputs=folder, noise="torch"
    )


class Tiled:
    """Attention of diffusers' layers whose queries are tiles, as ComfyUI views them."""

    def __init__(self, rows: int, columns: int, height: int, width: int) -> None:
        self.shape = (rows, height // rows, columns, width // columns)

    def __call__(self, attn: Any, hidden: Tensor, *_: Any, **__: Any) -> Tensor:
        rows, _, columns, _ = self.shape
        batch, count, channels = hidden.shape
        n = hidden.reshape(batch, *self.shape, channels).permute(0, 1, 3, 2, 4, 5)
        n = n.reshape(batch * rows * columns, count // (rows * columns), channels)
        q, k, v = attn.to_q(n), attn.to_k(hidden), attn.to_v(hidden)
        q, k, v = (
            one.reshape(len(q), -1, attn.heads, channels // attn.heads).transpose(1, 2)
            for one in (q, k, v)
        )
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        out = attn.to_out[0](out.reshape(len(n), -1, channels))
        _, height, _, width = self.shape
        out = out.reshape(batch, rows, columns, height, width, channels).permute(0, 1, 3, 2, 4, 5)
        return out.reshape(batch, count, channels)


def _is_divided(unet: Any, name: str, width: int) -> bool:
    """Whether it is self-attention of the first level."""
    layer = unet.get_submodule(name.removesuffix(".processor"))
    return ".attn1." in name and layer.to_q.in_features == width


def test_self_attention_in_tiles(folder: Path, twin: Twin) -> None:
    """Latents of 8 x 12: ComfyUI takes them for 12 x 8, in tiles of 4 x 4."""
    nodes = {
        "5": {"batch_size": 1, "width": 96, "height": 64},
        "20": {"class_type": "HyperTile", "model": ["4", 0], "tile_size": 32, "swap_size": 2},
        "3": {"model": ["20", 0]},
    }
    images = drawn(place_of(folder, "sd1"), **nodes)
    unet = twin.pipe.unet
    before = unet.attn_processors
    width = unet.config.block_out_channels[0]
    own = {
        name: Tiled(3, 2, 12, 8) if _is_divided(unet, name, width) else processor
        for name, processor in before.items()
    }
    assert sum(isinstance(one, Tiled) for one in own.values()) == 5  # two down, three up
    unet.set_attn_processor(own)
    run = twin.guided(twin.text(RED), twin.text(BLUE), CFG)
    sigmas = twin.karras(4)
    made = euler(run, begun(twin, sigmas[0], 12), sigmas)
    unet.set_attn_processor(before)
    same(images, made, twin)


class Merging:
    """Attention of diffusers' layers whose queries are merged, as ComfyUI merges them."""

    def __init__(self, ratio: float, height: int, width: int) -> None:
        self.ratio, self.numbers = ratio, [torch.from_numpy(n) for n in divided(height, width)]

    def __call__(self, attn: Any, hidden: Tensor, *_: Any, **__: Any) -> Tensor:
        (batch, count, channels), (others, into) = hidden.shape, self.numbers
        unit = hidden / hidden.norm(dim=-1, keepdim=True)
        best, target = (unit[:, others] @ unit[:, into].transpose(1, 2)).max(dim=-1)
        order = best.argsort(dim=-1, descending=True)
        first, rest = order.split(
            [int(count * self.ratio), len(others) - int(count * self.ratio)], 1
        )
        target = target.gather(1, first)

        def wide(numbers: Tensor) -> Tensor:
            return numbers[..., None].expand(-1, -1, channels)

        source = hidden[:, others]
        merged = hidden[:, into].scatter_reduce(
            1, wide(target), source.gather(1, wide(first)), reduce="mean"
        )
        n = torch.cat([source.gather(1, wide(rest)), merged], 1)
        q, k, v = attn.to_q(n), attn.to_k(hidden), attn.to_v(hidden)
        q, k, v = (
            one.reshape(batch, -1, attn.heads, channels // attn.heads).transpose(1, 2)
            for one in (q, k, v)
        )
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        out = attn.to_out[0](out.reshape(*n.shape))
        alone, made = out.split([rest.shape[1], len(into)], 1)
        whole = torch.zeros_like(hidden)
        whole[:, into] = made
        whole = whole.scatter(1, wide(others[rest]), alone)
        return whole.scatter(1, wide(others[first]), made.gather(1, wide(target)))


def test_merged_tokens(folder: Path, twin: Twin) -> None:
    nodes = {
        "20": {"class_type": "TomePatchModel", "model": ["4", 0], "ratio": 0.4},
        "3": {"model": ["20", 0]},
    }
    images = drawn(place_of(folder, "sd1"), **nodes)
    unet = twin.pipe.unet
    before = unet.attn_processors
    width = unet.config.block_out_channels[0]
    own = {
        name: Merging(0.4, 8, 9) if _is_divided(unet, name, width) else processor
        for name, processor in before.items()
    }
    unet.set_attn_processor(own)
    run = twin.guided(twin.text(RED), twin.text(BLUE), CFG)
    sigmas = twin.karras(4)
    made = euler(run, begun(twin, sigmas[0]), sigmas)
    unet.set_attn_processor(before)
    same(images, made, twin)


def shrunk(unet: Any, x: Tensor, t: Tensor, context: Tensor, told: dict[str, Any]) -> Tensor:
    """The U-Net block by block, whose maps shrink behind one."""
    time = unet.time_embedding(unet.time_proj(t))
    skips, number = [], 0

    def kept(h: Tensor) -> Tensor:
        nonlocal number
        size = [round(side / told["downscale_factor"]) for side in h.shape[2:]]
        is_own = number == told["block_number"]
        number += 1
        small = sized(h, *size, told["downscale_method"]) if is_own else h
        skips.append(h if told["downscale_after_skip"] else small)
        return small

    h = kept(unet.conv_in(x))
    for block in unet.down_blocks:
        attentions = getattr(block, "attentions", [None] * len(block.resnets))
        for resnet, attention in zip(block.resnets, attentions, strict=True):
            h = resnet(h, time)
            if attention is not None:
                h = attention(h, encoder_hidden_states=context).sample
            h = kept(h)
        for layer in block.downsamplers or ():
            h = kept(layer(h))
    h = unet.mid_block(h, time, encoder_hidden_states=context)
    for block in unet.up_blocks:
        attentions = getattr(block, "attentions", [None] * len(block.resnets))
        for resnet, attention in zip(block.resnets, attentions, strict=True):
            skip = skips.pop()
            if h.shape[2] != skip.shape[2]:
                h = sized(h, *skip.shape[2:], told["upscale_method"])
            h = resnet(torch.cat([h, skip], 1), time)
            if attention is not None:
                h = attention(h, encoder_hidden_states=context).sample
        for layer in block.upsamplers or ():
            h = layer(h, tuple(skips[-1].shape[2:]))
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(h)))


@pytest.mark.parametrize(
    ("number", "factor", "after_skip", "down", "up"),
    [(3, 2.0, True, "bicubic", "bicubic"), (2, 1.5, False, "area", "nearest-exact")],
)
def test_maps_that_shrink(
    folder: Path, twin: Twin, number: int, factor: float, after_skip: bool, down: str, up: str
) -> None:
    told = {
        "block_number": number,
        "downscale_factor": factor,
        "downscale_after_skip": after_skip,
        "downscale_method": down,
        "upscale_method": up,
    }
    part = {"start_percent": 0.0, "end_percent": 0.5}
    nodes = {
        "20": {"class_type": "PatchModelAddDownscale", "model": ["4", 0], **told, **part},
        "3": {"model": ["20", 0]},
    }
    images = drawn(place_of(folder, "sd1"), **nodes)
    half = float(np.exp(np.interp(0.5 * 999, np.arange(1000), twin.sigmas.log().numpy())))
    red, blue = twin.text(RED), twin.text(BLUE)

    def x0(x: Tensor, sigma: float, context: Tensor) -> Tensor:
        if sigma < half:
            return twin.x0(x, sigma, context)
        t, seen = torch.full((1,), twin.timestep(sigma)), x / (sigma**2 + 1) ** 0.5
        return x - sigma * shrunk(twin.pipe.unet, seen, t, context, told)

    def run(x: Tensor, sigma: float) -> Tensor:
        u = x0(x, sigma, blue)
        return u + CFG * (x0(x, sigma, red) - u)

    sigmas = twin.karras(4)
    assert 0 < sum(sigma >= half for sigma in sigmas) < 4
    same(images, euler(run, begun(twin, sigmas[0]), sigmas), twin)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_an_x4_upscaler(tmp_path: Path, share: float) -> None:
    """The small picture with torch's noise, by the seed less ten, and its level."""
    rng = np.random.default_rng(4)
    Image.fromarray(rng.integers(0, 256, (18, 20, 3), np.uint8)).save(tmp_path / "small.png")
    nodes = {
        "10": {"class_type": "LoadImage", "image": "small.png"},
        "11": {
            "class_type": "SD_4XUpscale_Conditioning",
            "images": ["10", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "scale_ratio": 4.0,
            "noise_augmentation": share,
        },
        "3": {"positive": ["11", 0], "negative": ["11", 1], "latent_image": ["11", 2]},
    }
    with torch.no_grad():
        twin = twin_of(written(tmp_path, "x4"))
        images = drawn(place_of(tmp_path, "x4"), **nodes)
        pixels = torch.from_numpy(np.asarray(Image.open(tmp_path / "small.png")).copy())
        pixels = pixels[None].movedim(-1, 1).float() / 127.5 - 1
        betas = torch.linspace(0.0001**0.5, 0.02**0.5, 1000, dtype=torch.float64) ** 2
        kept = torch.cumprod(1 - betas, 0)
        twin.sigmas = ((1 - kept) / kept) ** 0.5
        level = round(50 * share)
        if level:
            fresh = torch.randn(pixels.shape, generator=torch.manual_seed((SEED - 10) % 2**64))
            pixels = (kept[level].sqrt() * pixels + (1 - kept[level]).sqrt() * fresh).float()

        def x0(x: Tensor, sigma: float, context: Tensor) -> Tensor:
            t = torch.full((1,), twin.timestep(sigma))
            seen = torch.cat([x / (sigma**2 + 1) ** 0.5, pixels], 1)
            v = twin.pipe.unet(seen, t, context, class_labels=torch.tensor([level])).sample
            return x / (sigma**2 + 1) - v * sigma / (sigma**2 + 1) ** 0.5

        red, blue = twin.text(RED), twin.text(BLUE)

        def run(x: Tensor, sigma: float) -> Tensor:
            u = x0(x, sigma, blue)
            return u + CFG * (x0(x, sigma, red) - u)

        sigmas = twin.karras(4)
        noise = noise_of(SEED, (1, 4, 18, 20))
        x = twin.begun(noise, torch.zeros_like(noise), sigmas[0])[0]
        same(images, euler(run, x, sigmas), twin)
