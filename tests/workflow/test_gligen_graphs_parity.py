"""GLIGEN in graphs, as ComfyUI draws with it, against diffusers' gated U-Net in torch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import diffusers
from comfy_twin import Twin, euler, noise_of
from diffusers_pairs import SPECS
from graphs import GRAPH, changed
from safetensors.torch import save_file
from tiny_models import pipeline_params

from jaxsd.convert import write_diffusers
from jaxsd.parity.pipelines import psnr
from jaxsd.workflow import Workspace, graph_of, run_graph

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

SEED, CFG, HEIGHT, WIDTH = 5, 4.0, 8, 12
DECIBELS = 80.0
"""The bar is 45; float32 gives more than 90."""
PLACES = {
    "down_blocks.0.attentions.0": "input_blocks.1.1",
    "mid_block.attentions.0": "middle_block.1",
    "up_blocks.0.attentions.0": "output_blocks.0.1",
    "up_blocks.0.attentions.1": "output_blocks.1.1",
}
SUN, BOTTLE = ("sun", (56, 8, 32, 24)), ("purple galaxy bottle", (16, 24, 40, 40))
"""What is where: x, y, width and height in pixels."""


def model(folder: Path) -> Twin:
    """A tiny model of diffusers, and a file of gated layers as ComfyUI has them."""
    tiny = SPECS["sd1"]
    text = tuple(replace(one, vocab_size=49408, pad_token=49407) for one in tiny.text)
    spec = replace(tiny, text=text)
    write_diffusers(folder / "tiny", spec, pipeline_params(spec))
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder / "tiny", safety_checker=None)
    torch.manual_seed(4)
    unet = diffusers.UNet2DConditionModel.from_config(
        {**pipe.unet.config, "attention_type": "gated"}
    )
    for name, parameter in unet.named_parameters():
        if name.endswith(("alpha_attn", "alpha_dense", "feature")):
            torch.nn.init.normal_(parameter)
    unet.load_state_dict(pipe.unet.state_dict(), strict=False)
    more = {
        name: tensor
        for name, tensor in unet.state_dict().items()
        if ".fuser." in name or name.startswith("position_net.")
    }
    for old, new in PLACES.items():
        more = {name.replace(old, new): tensor for name, tensor in more.items()}
    (folder / "models/gligen").mkdir(parents=True)
    save_file(more, folder / "models/gligen/textbox.safetensors")
    pipe.unet = unet
    return Twin(pipe)


def objects(twin: Twin, boxes: list[Any], height: int, width: int) -> dict[str, Any]:
    """What the gated U-Net is given."""
    texts, sides = torch.zeros(1, 30, 32), torch.zeros(1, 30, 4)
    for i, (text, (x, y, w, h)) in enumerate(boxes):
        ids = twin.pipe.tokenizer(text, padding="max_length", return_tensors="pt").input_ids
        texts[0, i] = twin.pipe.text_encoder(ids).pooler_output[0]
        x, y, w, h = (one // 8 for one in (x, y, w, h))
        sides[0, i] = torch.tensor([x / width, y / height, (x + w) / width, (y + h) / height])
    masks = (torch.arange(30) < len(boxes))[None].float()
    return {
        "cross_attention_kwargs": {
            "gligen": {"boxes": sides, "masks": masks, "positive_embeddings": texts}
        }
    }


def applied(text: str, place: tuple[int, ...], before: str) -> dict[str, Any]:
    x, y, width, height = place
    return {
        "class_type": "GLIGENTextBoxApply",
        "text": text,
        "width": width,
        "height": height,
        "x": x,
        "y": y,
        "conditioning_to": [before, 0],
        "clip": ["4", 1],
        "gligen_textbox_model": ["10", 0],
    }


NODES = {
    "5": {"batch_size": 1, "width": 8 * WIDTH, "height": 8 * HEIGHT},
    "6": {"text": "a mountain; sun"},
    "7": {"text": "watermark"},
    "10": {"class_type": "GLIGENLoader", "gligen_name": "textbox.safetensors"},
    "21": applied(*BOTTLE, before="6"),
    "27": applied(*SUN, before="21"),
    "3": {"positive": ["27", 0]},
}
"""gligen_textbox_example of ComfyUI's examples, smaller, with another sampler."""


def compared(nodes: dict[str, Any], run: Any, twin: Twin, folder: Path) -> None:
    place = Workspace(
        models=[folder / "models"],
        named={"checkpoints": str(folder / "tiny")},
        outputs=folder / "out",
    )
    images = run_graph(graph_of(changed(GRAPH, nodes), "test"), place)["9"]
    sigmas = twin.karras(4)
    noise = noise_of(SEED, (1, 4, HEIGHT, WIDTH))
    x, _ = twin.begun(noise, torch.zeros_like(noise), sigmas[0])
    want = twin.decode(euler(run, x, sigmas) / twin.scale).numpy()
    print(f"{psnr(images, want):.1f} dB")
    assert psnr(images, want) > DECIBELS


@torch.no_grad()
def test_boxes_of_texts(tmp_path: Path) -> None:
    """Both sides have them."""
    twin = model(tmp_path)
    boxes = objects(twin, [BOTTLE, SUN], HEIGHT, WIDTH)
    red, blue = twin.text([("a mountain; sun", 1.0)]), twin.text([("watermark", 1.0)])
    compared(NODES, twin.guided(red, blue, CFG, **boxes), twin, tmp_path)


@pytest.mark.release
@torch.no_grad()
def test_boxes_of_a_text_for_an_area(tmp_path: Path) -> None:
    """There they are shares of the area. The negative side has the same for the area alone."""
    twin = model(tmp_path)
    nodes = NODES | {
        "5": {"batch_size": 1, "width": 8 * WIDTH, "height": 8 * HEIGHT},
        "27": {
            "class_type": "ConditioningSetArea",
            "conditioning": ["21", 0],
            "width": 64,
            "height": 64,
            "x": 32,
            "y": 0,
            "strength": 0.7,
        },
        "28": {
            "class_type": "ConditioningCombine",
            "conditioning_1": ["6", 0],
            "conditioning_2": ["27", 0],
        },
        "3": {"positive": ["28", 0]},
    }
    boxes = objects(twin, [BOTTLE], 8, 8)
    red, blue = twin.text([("a mountain; sun", 1.0)]), twin.text([("watermark", 1.0)])
    box = torch.zeros(1, 4, HEIGHT, WIDTH)
    box[..., 4:] = 0.7
    box[..., 4] *= 0.5

    def run(x: torch.Tensor, sigma: float) -> torch.Tensor:
        sides = []
        for text in (red, blue):
            part = torch.zeros_like(x)
            part[..., 4:] = twin.x0(x[..., 4:], sigma, text, **boxes)
            sides.append((twin.x0(x, sigma, text) + part * box) / (1 + box))
        cond, uncond = sides
        return uncond + CFG * (cond - uncond)

    compared(nodes, run, twin, tmp_path)
