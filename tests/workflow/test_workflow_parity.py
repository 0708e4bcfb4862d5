"""Graphs against the same arithmetic in torch, with diffusers' networks and ComfyUI's noise."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import diffusers
from comfy_twin import (
    Twin,
    dpmpp_2m,
    euler,
    euler_ancestral,
    grown,
    inpainted,
    noise_of,
    sized,
)
from diffusers_pairs import SPECS
from graphs import GRAPH, changed
from PIL import Image
from safetensors.torch import save_file
from tiny_models import pipeline_params

from jaxsd.convert import write_diffusers
from jaxsd.parity.pipelines import psnr
from jaxsd.workflow import Workspace, graph_of, run_graph

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

DECIBELS = 80.0
"""The bar is 45; float32 gives more than 90."""
SEED, CFG = 5, 4.0
RED, BLUE = [("a red apple, ", 1.0), ("shiny", 1.3), (" on a table", 1.0)], [("blurry", 0.7)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of diffusers."""
    tiny = SPECS["sd1"]
    spec = replace(
        tiny, text=tuple(replace(one, vocab_size=49408, pad_token=49407) for one in tiny.text)
    )
    made = tmp_path_factory.mktemp("models") / "tiny"
    write_diffusers(made, spec, pipeline_params(spec))
    return made


@pytest.fixture(scope="module")
def twin(folder: Path) -> Iterator[Twin]:
    with torch.no_grad():
        yield Twin(diffusers.DiffusionPipeline.from_pretrained(folder, safety_checker=None))


@pytest.fixture(scope="module")
def place(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    base = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (66, 75, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[20:40, 24:50, 3] = 0
    Image.fromarray(pixels).save(base / "picture.png")
    return Workspace(
        named={"checkpoints": str(folder)}, inputs=base, outputs=base / "out", noise="torch"
    )


def pixels_of(place: Workspace) -> tuple[torch.Tensor, torch.Tensor]:
    """The picture [1, 3, 64, 72], its middle, and its mask [1, 1, 64, 72]."""
    whole = torch.from_numpy(np.asarray(Image.open(place.inputs / "picture.png")).copy())
    whole = whole[None].movedim(-1, 1).float() / 255
    own = whole[:, :, 1:65, 1:73]
    return own[:, :3], 1 - own[:, 3:]


def drawn(place: Workspace, **nodes: Any) -> np.ndarray:
    """The pictures of the graph with other nodes."""
    return run_graph(graph_of(changed(GRAPH, nodes), "test"), place)["9"]


def same(images: np.ndarray, latents: torch.Tensor, twin: Twin) -> None:
    figure = psnr(images, twin.decode(latents / twin.scale).numpy())
    print(f"{figure:.1f} dB")
    assert figure > DECIBELS


def test_text_to_image(place: Workspace, twin: Twin) -> None:
    """Two images of one seed, with weights."""
    images = drawn(place)
    sigmas = twin.karras(4)
    noise = noise_of(SEED, (2, 4, 8, 9))
    x, _ = twin.begun(noise, torch.zeros_like(noise), sigmas[0])
    run = twin.guided(twin.text(RED), twin.text(BLUE), CFG)
    same(images, euler(run, x, sigmas), twin)


IMAGE = {"10": {"class_type": "LoadImage", "image": "picture.png"}}
ENCODED = IMAGE | {"11": {"class_type": "VAEEncode", "pixels": ["10", 0], "vae": ["4", 2]}}


def test_image_to_image(place: Workspace, twin: Twin) -> None:
    """The middle of a picture, with six tenths of the steps."""
    nodes = {"3": {"latent_image": ["11", 0], "denoise": 0.6, "sampler_name": "dpmpp_2m"}}
    images = drawn(place, **ENCODED, **nodes)
    sigmas = twin.karras(int(4 / 0.6))[-5:]
    latent = twin.encode(pixels_of(place)[0])
    x, _ = twin.begun(noise_of(SEED, latent.shape), latent, sigmas[0])
    run = twin.guided(twin.text(RED), twin.text(BLUE), CFG)
    same(images, dpmpp_2m(run, x, sigmas), twin)


def test_inpainting(place: Workspace, twin: Twin) -> None:
    """With noise in each step: what is masked goes on from the sampler's own x."""
    masked = {
        "class_type": "VAEEncodeForInpaint",
        "pixels": ["10", 0],
        "vae": ["4", 2],
        "mask": ["10", 1],
        "grow_mask_by": 6,
    }
    nodes = {
        "11": masked,
        "3": {
            "latent_image": ["11", 0],
            "sampler_name": "euler_ancestral",
            "scheduler": "normal",
            "seed": 2**63 + 7,
        },
    }
    images = drawn(place, **IMAGE, **nodes)
    pixels, mask = pixels_of(place)
    latent = twin.encode((pixels - 0.5) * (1 - mask.round()) + 0.5)
    sigmas, seed = twin.normal(4), 2**63 + 7
    noise = noise_of(seed, latent.shape)
    x, scaled = twin.begun(noise, latent, sigmas[0])
    run = twin.guided(twin.text(RED), twin.text(BLUE), CFG)
    run = inpainted(run, scaled, noise, sized(grown(mask, 6), *latent.shape[2:]))
    same(images, euler_ancestral(run, x, sigmas, seed), twin)


@pytest.mark.release
def test_two_samplers_share_the_steps(place: Workspace, twin: Twin) -> None:
    """As graphs with a refiner do: the second goes on from noise that was left."""
    advanced = {
        "class_type": "KSamplerAdvanced",
        "model": ["4", 0],
        "noise_seed": SEED,
        "steps": 6,
        "cfg": CFG,
        "sampler_name": "dpmpp_2m",
        "scheduler": "normal",
        "positive": ["6", 0],
        "negative": ["7", 0],
    }
    first = advanced | {
        "add_noise": "enable",
        "latent_image": ["5", 0],
        "start_at_step": 0,
        "end_at_step": 4,
        "return_with_leftover_noise": "enable",
    }
    second = advanced | {
        "add_noise": "disable",
        "latent_image": ["12", 0],
        "start_at_step": 4,
        "end_at_step": 10000,
        "return_with_leftover_noise": "disable",
        "positive": ["7", 0],
    }
    nodes = {"12": first, "13": second, "8": {"samples": ["13", 0]}, "5": {"batch_size": 1}}
    images = drawn(place, **nodes)
    sigmas = twin.normal(6)
    noise = noise_of(SEED, (1, 4, 8, 9))
    x, _ = twin.begun(noise, torch.zeros_like(noise), sigmas[0])
    red, blue = twin.text(RED), twin.text(BLUE)
    x = dpmpp_2m(twin.guided(red, blue, CFG), x, sigmas[:5])
    same(images, dpmpp_2m(twin.guided(blue, blue, CFG), x, sigmas[4:]), twin)


@pytest.mark.release
def test_enlarged_latents_are_drawn_over(place: Workspace, twin: Twin) -> None:
    nodes = {
        "5": {"batch_size": 1},
        "12": {
            "class_type": "LatentUpscale",
            "samples": ["3", 0],
            "upscale_method": "nearest-exact",
            "width": 104,
            "height": 96,
            "crop": "disabled",
        },
        "13": GRAPH["3"]["inputs"]
        | {"class_type": "KSampler", "latent_image": ["12", 0], "denoise": 0.5, "seed": 8},
        "8": {"samples": ["13", 0]},
    }
    images = drawn(place, **nodes)
    run = twin.guided(twin.text(RED), twin.text(BLUE), CFG)
    sigmas = twin.karras(4)
    noise = noise_of(SEED, (1, 4, 8, 9))
    x, _ = twin.begun(noise, torch.zeros_like(noise), sigmas[0])
    latent = sized(euler(run, x, sigmas) / twin.scale, 12, 13, "nearest-exact")
    sigmas = twin.karras(8)[-5:]
    x, _ = twin.begun(noise_of(8, latent.shape), latent, sigmas[0])
    same(images, euler(run, x, sigmas), twin)


@pytest.mark.release
def test_controlnet(place: Workspace, twin: Twin, tmp_path: Path) -> None:
    """On both sides, as ControlNetApply has it; a larger hint is cut to its middle."""
    torch.manual_seed(1)
    net = diffusers.ControlNetModel.from_unet(twin.pipe.unet)
    for weight in net.parameters():
        weight.data += 0.02 * torch.randn_like(weight)
    net.save_pretrained(tmp_path / "net")
    place.named = {**place.named, "controlnet": str(tmp_path / "net")}
    nodes = {
        "5": {"batch_size": 1},
        "12": {"class_type": "ControlNetLoader", "control_net_name": "net"},
        "13": {
            "class_type": "ControlNetApply",
            "conditioning": ["6", 0],
            "control_net": ["12", 0],
            "image": ["10", 0],
            "strength": 0.8,
        },
        "3": {"positive": ["13", 0]},
    }
    images = drawn(place, **IMAGE, **nodes)
    whole = np.asarray(Image.open(place.inputs / "picture.png").convert("RGB")).copy()
    hint = torch.from_numpy(whole)[None].movedim(-1, 1).float() / 255
    hint = sized(hint[:, :, :, :], 64, 72, "nearest-exact")
    sigmas = twin.karras(4)
    noise = noise_of(SEED, (1, 4, 8, 9))
    x, _ = twin.begun(noise, torch.zeros_like(noise), sigmas[0])
    run = twin.guided(twin.text(RED), twin.text(BLUE), CFG, control=(net, hint, 0.8))
    same(images, euler(run, x, sigmas), twin)


@pytest.mark.release
def test_lora(place: Workspace, twin: Twin, tmp_path: Path) -> None:
    """Merged into U-Net and text encoder with a strength for each, as torch adds it."""
    pipe = deepcopy(twin.pipe)
    torch.manual_seed(2)
    file = {}
    for prefix, network, strength in (
        ("lora_unet_", pipe.unet, 0.9),
        ("lora_te_", pipe.text_encoder, 0.4),
    ):
        for name, module in network.named_modules():
            if not name.endswith(("to_q", "to_v", "q_proj", "v_proj")):
                continue
            out, inner = module.weight.shape
            down, up = 0.3 * torch.randn(4, inner), 0.3 * torch.randn(out, 4)
            module.weight.data += strength * 0.5 * up @ down  # alpha is half of the rank
            if prefix == "lora_te_" and not name.startswith("text_model."):
                name = f"text_model.{name}"
            key = prefix + name.replace(".", "_")
            file |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
            file[f"{key}.alpha"] = torch.tensor(2.0)
    save_file(file, tmp_path / "own.safetensors")
    place.named = {**place.named, "loras": str(tmp_path / "own.safetensors")}
    lora = {
        "class_type": "LoraLoader",
        "model": ["4", 0],
        "clip": ["4", 1],
        "lora_name": "own",
        "strength_model": 0.9,
        "strength_clip": 0.4,
    }
    nodes = {
        "5": {"batch_size": 1},
        "12": lora,
        "6": {"clip": ["12", 1]},
        "7": {"clip": ["12", 1]},
        "3": {"model": ["12", 0]},
    }
    images = drawn(place, **nodes)
    own = Twin(pipe)
    sigmas = own.karras(4)
    noise = noise_of(SEED, (1, 4, 8, 9))
    x, _ = own.begun(noise, torch.zeros_like(noise), sigmas[0])
    run = own.guided(own.text(RED), own.text(BLUE), CFG)
    same(images, euler(run, x, sigmas), own)


@pytest.mark.release
def test_areas_masks_and_ranges_of_texts(place: Workspace, twin: Twin) -> None:
    """One text for a box, one for a mask, one that ends half way; CLIP's last layer but one."""
    nodes = {
        "4": {},
        "5": {"batch_size": 1, "width": 128, "height": 64},
        "20": {"class_type": "CLIPSetLastLayer", "clip": ["4", 1], "stop_at_clip_layer": -2},
        "6": {"clip": ["20", 0]},
        "21": {
            "class_type": "ConditioningSetArea",
            "conditioning": ["6", 0],
            "width": 64,
            "height": 64,
            "x": 64,
            "y": 0,
            "strength": 0.7,
        },
        "22": {"class_type": "SolidMask", "value": 0.5, "width": 64, "height": 64},
        "23": {
            "class_type": "ConditioningSetMask",
            "conditioning": ["7", 0],
            "mask": ["22", 0],
            "strength": 0.8,
            "set_cond_area": "default",
        },
        "24": {
            "class_type": "ConditioningSetTimestepRange",
            "conditioning": ["6", 0],
            "start": 0.0,
            "end": 0.5,
        },
        "25": {
            "class_type": "ConditioningCombine",
            "conditioning_1": ["21", 0],
            "conditioning_2": ["23", 0],
        },
        "26": {
            "class_type": "ConditioningCombine",
            "conditioning_1": ["25", 0],
            "conditioning_2": ["24", 0],
        },
        "3": {"positive": ["26", 0], "scheduler": "normal"},
    }
    images = drawn(place, **nodes)
    red, blue = twin.text(RED, layer=-2), twin.text(BLUE)
    sigmas = twin.normal(4)
    half = float(np.exp(np.interp(0.5 * 999, np.arange(1000), twin.sigmas.log().numpy())))
    ramp = torch.ones(8)
    ramp[0] = 0.5

    def run(x: torch.Tensor, sigma: float) -> torch.Tensor:
        total, count = torch.zeros_like(x), torch.full_like(x, 1e-37)
        box = torch.zeros_like(x)
        box[..., 8:] = 0.7 * ramp
        part = torch.zeros_like(x)
        part[..., 8:] = twin.x0(x[..., 8:], sigma, red)
        total, count = total + part * box, count + box
        total, count = total + 0.4 * twin.x0(x, sigma, blue), count + 0.4
        if sigma >= half:
            total, count = total + twin.x0(x, sigma, red), count + 1
        part[..., 8:] = twin.x0(x[..., 8:], sigma, blue)
        uncond = (twin.x0(x, sigma, blue) + part * box) / (1 + box)
        return uncond + CFG * (total / count - uncond)

    noise = noise_of(SEED, (1, 4, 8, 16))
    x, _ = twin.begun(noise, torch.zeros_like(noise), sigmas[0])
    same(images, euler(run, x, sigmas), twin)


@pytest.mark.release
def test_sizes_and_pooled_texts_of_xl(tmp_path: Path) -> None:
    """CLIPTextEncodeSDXL: both encoders' last layer but one, the second one's pooled text."""
    tiny = SPECS["sdxl"]
    text = tuple(
        replace(one, vocab_size=49408, pad_token=one.pad_token and 49407) for one in tiny.text
    )
    spec = replace(tiny, text=text)
    write_diffusers(tmp_path / "xl", spec, pipeline_params(spec))
    pipe = diffusers.DiffusionPipeline.from_pretrained(tmp_path / "xl")
    twin = Twin(pipe)
    sizes = {"width": 640, "height": 512, "crop_w": 16, "crop_h": 8}
    sizes |= {"target_width": 80, "target_height": 64}
    nodes = {
        "6": {"class_type": "CLIPTextEncodeSDXL", "text_g": "a cat", "text_l": "oil"} | sizes,
        "7": {"text": "blurry"},
        "5": {"batch_size": 1},
    }
    place = Workspace(named={"checkpoints": str(tmp_path / "xl")}, outputs=tmp_path)
    images = drawn(place, **nodes)

    def encoded(texts: tuple[str, str]) -> tuple[torch.Tensor, torch.Tensor]:
        contexts = []
        for text, tokenizer, encoder in zip(
            texts,
            (pipe.tokenizer, pipe.tokenizer_2),
            (pipe.text_encoder, pipe.text_encoder_2),
            strict=True,
        ):
            ids = tokenizer(text, padding="max_length", return_tensors="pt").input_ids
            found = encoder(ids, output_hidden_states=True)
            contexts.append(found.hidden_states[-2])
        return torch.cat(contexts, dim=-1), found.text_embeds

    def x0(texts: tuple[str, str], numbers: list[float], x: torch.Tensor, sigma: float) -> Any:
        context, pooled = encoded(texts)
        ids = torch.tensor([numbers], dtype=torch.float32)
        added = {"text_embeds": pooled, "time_ids": ids}
        return twin.x0(x, sigma, context, added_cond_kwargs=added)

    def run(x: torch.Tensor, sigma: float) -> torch.Tensor:
        cond = x0(("oil", "a cat"), [512, 640, 8, 16, 64, 80], x, sigma)
        uncond = x0(("blurry", "blurry"), [64, 72, 0, 0, 64, 72], x, sigma)
        return uncond + CFG * (cond - uncond)

    with torch.no_grad():
        sigmas = twin.karras(4)
        noise = noise_of(SEED, (1, 4, 8, 9))
        x, _ = twin.begun(noise, torch.zeros_like(noise), sigmas[0])
        same(images, euler(run, x, sigmas), twin)


@pytest.mark.release
def test_the_noise_of_the_negative_text(place: Workspace, twin: Twin) -> None:
    """CFG++ with two predictions: x goes on from what guidance gives, with the other's noise."""
    nodes = {"5": {"batch_size": 1}, "3": {"sampler_name": "dpmpp_2m_cfg_pp", "cfg": 1.5}}
    images = drawn(place, **nodes)
    red, blue = twin.text(RED), twin.text(BLUE)
    sigmas = twin.karras(4)
    noise = noise_of(SEED, (1, 4, 8, 9))
    x, _ = twin.begun(noise, torch.zeros_like(noise), sigmas[0])
    before = None
    for i in range(4):
        now, after = sigmas[i : i + 2]
        uncond = twin.x0(x, now, blue)
        made = uncond + 1.5 * (twin.x0(x, now, red) - uncond)
        ratio = after / now
        mix = -ratio * uncond
        if before is not None and after > 0:
            r = np.log(sigmas[i - 1] / now) / np.log(now / after)
            mix = mix + (1 - ratio) / (2 * r) * (made - before)
        x, before = made + mix + ratio * x, uncond
    same(images, x, twin)


def test_guidance_between_three_texts(place: Workspace, twin: Twin) -> None:
    """`DualCFGGuider`, nested: the first two texts guide, and what they give is guided again."""
    nodes = {
        "5": {"batch_size": 1},
        "20": {"class_type": "CLIPTextEncode", "text": "a green pear", "clip": ["4", 1]},
        "21": {
            "class_type": "DualCFGGuider",
            "model": ["4", 0],
            "cond1": ["6", 0],
            "cond2": ["20", 0],
            "negative": ["7", 0],
            "cfg_conds": 3.0,
            "cfg_cond2_negative": 1.5,
            "style": "nested",
        },
        "22": {"class_type": "RandomNoise", "noise_seed": SEED},
        "23": {"class_type": "KSamplerSelect", "sampler_name": "euler"},
        "24": {
            "class_type": "BasicScheduler",
            "model": ["4", 0],
            "scheduler": "karras",
            "steps": 4,
            "denoise": 1.0,
        },
        "3": {
            "class_type": "SamplerCustomAdvanced",
            "noise": ["22", 0],
            "guider": ["21", 0],
            "sampler": ["23", 0],
            "sigmas": ["24", 0],
        },
    }
    images = drawn(place, **nodes)
    red, green, blue = twin.text(RED), twin.text([("a green pear", 1.0)]), twin.text(BLUE)

    def run(x: torch.Tensor, sigma: float) -> torch.Tensor:
        first, second, negative = (twin.x0(x, sigma, one) for one in (red, green, blue))
        inner = second + 3.0 * (first - second)
        return negative + 1.5 * (inner - negative)

    sigmas = twin.karras(4)
    noise = noise_of(SEED, (1, 4, 8, 9))
    x, _ = twin.begun(noise, torch.zeros_like(noise), sigmas[0])
    same(images, euler(run, x, sigmas), twin)


@pytest.mark.release
def test_guidance_away_from_a_blurred_picture(place: Workspace, twin: Twin) -> None:
    """`SelfAttentionGuidance`: x0 of the negative text, blurred where its pixels are looked at."""
    nodes = {
        "5": {"batch_size": 1},
        "20": {
            "class_type": "SelfAttentionGuidance",
            "model": ["4", 0],
            "scale": 0.8,
            "blur_sigma": 1.7,
        },
        "3": {"model": ["20", 0]},
    }
    images = drawn(place, **nodes)
    red, blue = twin.text(RED), twin.text(BLUE)
    layer = twin.pipe.unet.mid_block.attentions[0].transformer_blocks[0].attn1
    ramp = torch.exp(-0.5 * (torch.arange(-4, 5) / 1.7) ** 2)
    kernel = torch.outer(ramp, ramp) / ramp.sum() ** 2
    seen = []
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    halvings = len(twin.pipe.unet.config.block_out_channels) - 1

    def run(x: torch.Tensor, sigma: float) -> torch.Tensor:
        cond, uncond = twin.x0(x, sigma, red), twin.x0(x, sigma, blue)
        q, k = (layer.head_to_batch_dim(one(seen[-1])) for one in (layer.to_q, layer.to_k))
        looked_at = layer.get_attention_scores(q, k).mean(0).sum(0) > 1
        small = [-(-side // 2**halvings) for side in x.shape[2:]]
        mask = sized(looked_at.reshape(1, 1, *small).float(), *x.shape[2:], "nearest")
        wide = torch.nn.functional.pad(uncond, (4, 4, 4, 4), mode="reflect")
        blurred = torch.nn.functional.conv2d(wide, kernel.expand(4, 1, 9, 9), groups=4)
        worse = blurred * mask + uncond * (1 - mask)
        away = worse - twin.x0(worse + x - uncond, sigma, blue)
        return uncond + CFG * (cond - uncond) + 0.8 * away

    sigmas = twin.karras(4)
    noise = noise_of(SEED, (1, 4, 8, 9))
    x, _ = twin.begun(noise, torch.zeros_like(noise), sigmas[0])
    made = euler(run, x, sigmas)
    hook.remove()
    same(images, made, twin)


@pytest.mark.release
def test_hypernetworks(place: Workspace, twin: Twin, tmp_path: Path) -> None:
    """Two, one for tokens of texts, one for those of the first level, each with a strength."""
    torch.manual_seed(3)
    unet, nodes, strengths = deepcopy(twin.pipe.unet), {}, (0.7, -0.4)
    widths = (unet.config.cross_attention_dim, unet.config.block_out_channels[0])
    for number, (width, strength) in enumerate(zip(widths, strengths, strict=True)):
        nets = [torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.Tanh()) for _ in "kv"]
        states = [{f"linear.{name}": one for name, one in net.state_dict().items()} for net in nets]
        file = {width: states, "activation_func": "tanh", "activate_output": True, "step": 3}
        torch.save(file, tmp_path / f"{number}.pt")
        place.named = {**place.named, f"net{number}": str(tmp_path / f"{number}.pt")}
        nodes[str(20 + number)] = {
            "class_type": "HypernetworkLoader",
            "model": [str(19 + number) if number else "4", 0],
            "hypernetwork_name": f"net{number}",
            "strength": strength,
        }
        for name, module in unet.named_modules():
            for end, net in zip(("to_k", "to_v"), nets, strict=True):
                if name.endswith(end) and module.in_features == width:
                    module.register_forward_pre_hook(
                        lambda _, given, net=net, strength=strength: (
                            given[0] + strength * net(given[0]),
                        )
                    )
    nodes |= {"5": {"batch_size": 1}, "3": {"model": ["21", 0]}}
    images = drawn(place, **nodes)
    pipe = deepcopy(twin.pipe)
    pipe.unet = unet
    own = Twin(pipe)
    sigmas = own.karras(4)
    noise = noise_of(SEED, (1, 4, 8, 9))
    x, _ = own.begun(noise, torch.zeros_like(noise), sigmas[0])
    run = own.guided(own.text(RED), own.text(BLUE), CFG)
    same(images, euler(run, x, sigmas), own)
