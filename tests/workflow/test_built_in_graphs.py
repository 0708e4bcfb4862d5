"""Graphs that people made, with the built-in model as their checkpoint: pictures, or one line."""

import os
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from photomaker_fakes import photomaker_tensors
from PIL import Image, ImageDraw
from real_files import DATA
from safetensors.numpy import save_file
from test_real_graphs import files, gligen, is_core, smaller
from tiny_models import random_params, tree_of

import jaxsd
from jaxsd.adapters.lora import initial_lora
from jaxsd.adapters.lora_writing import write_lora_kohya
from jaxsd.config import VisionConfig
from jaxsd.convert.diffusers.parts import PROJECTED_VISION, save_part
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.parameters import vision_parameters
from jaxsd.workflow import Workspace, read_graph, run_graph

pytestmark = pytest.mark.release

SIZES = {
    "EmptyLatentImage": {"width": 128, "height": 128, "batch_size": 1},
    "LatentUpscale": {"width": 160, "height": 160},
    "ImageScale": {"width": 128, "height": 128},
    "KSampler": {"steps": 12},
    "KSamplerAdvanced": {"steps": 12},
    "SDTurboScheduler": {"steps": 4},
}
HALVES = {"start_at_step": 6, "end_at_step": 6}
OTHER = {
    "sdxl_revision_text_prompts": "unCLIPConditioning is for unCLIP models and XL; bypass it",
    "unclip_example": "emoji is no unCLIP model; take CheckpointLoaderSimple",
}
"""Files that need what a model has learnt, and what is said of them."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The built-in model and its ControlNet, with tiny files for it of whatever else is named."""
    base, pipe = tmp_path_factory.mktemp("built_in"), jaxsd.load("emoji")
    width = pipe.spec.unet.context_dim
    lora = initial_lora(pipe.params, ["attn"], rank=2, alpha=2.0, key=jax.random.key(1))
    lora = {path: own | {"up": own["up"] + 0.002} for path, own in lora.items()}
    write_lora_kohya(base / "lora.safetensors", lora, pipe.spec)
    vision = VisionConfig(16, 1, 2, 16, "gelu", image_size=8, patch_size=4, projection_dim=24)
    tower = random_params(tree_of(vision_parameters(vision)))
    save_part(base / "vision", PROJECTED_VISION, vision, tower, overwrite=False)
    save_file(photomaker_tensors((width // 2, width // 2)), base / "photomaker.safetensors")
    own = {"weight": 0.1 * np.eye(width), "bias": np.zeros(width)}
    hypernet = {f"{width}.{k}.linear.0.{kind}": own[kind] for k in (0, 1) for kind in own}
    save_file({name: np.float32(one) for name, one in hypernet.items()}, base / "net.safetensors")
    vectors = np.asarray(pipe.params["text"][0]["embeddings"]["token_embedding"]["embedding"][:2])
    save_file({"emb_params": np.float32(vectors)}, base / "words.safetensors")
    write_safetensors(base / "gligen.safetensors", gligen(pipe.spec), {})
    return Workspace(
        named={
            "checkpoints": "emoji",
            "diffusion_models": "emoji",
            "vae": "emoji",
            "controlnet": "emoji-edges",
            "loras": str(base / "lora.safetensors"),
            "upscale_models": str(DATA / "esrgan_slim_x4.safetensors"),
            "clip_vision": str(base / "vision"),
            "hypernetworks": str(base / "net.safetensors"),
            "gligen": str(base / "gligen.safetensors"),
            "photomaker": str(base / "photomaker.safetensors"),
            "SDA768.pt": str(base / "words.safetensors"),
        },
        inputs=base,
        opened={"emoji": pipe}.get,
    )


def picture(path: Path) -> None:
    """A red disc on white, with a transparent square as a mask."""
    image = Image.new("RGBA", (128, 128), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((24, 24, 104, 104), fill="red", outline="black", width=3)
    draw.rectangle((56, 40, 84, 68), fill=(255, 0, 0, 0))
    image.save(path)


def core() -> list[Path]:
    """The files without custom nodes, where they are at hand."""
    found = files() if "JAXSD_TESTDATA" in os.environ else []
    return [path for path in found if is_core(path)]


@pytest.mark.parametrize("path", core(), ids=lambda path: path.stem)
def test_core_graphs(path: Path, place: Workspace, tmp_path: Path) -> None:
    graph = smaller(read_graph(path)[0], SIZES, HALVES)
    picture(place.inputs / "picture.png")
    images = {
        one.inputs["image"]: "picture.png" for one in graph.values() if one.kind == "LoadImage"
    }
    named = {name: str(place.inputs / file) for name, file in images.items()}
    own = replace(place, named={**place.named, **named}, outputs=tmp_path, written=[])
    if path.stem in OTHER:
        with pytest.raises(ValueError, match=OTHER[path.stem]):
            run_graph(graph, own)
        assert not own.written
        return
    for made in run_graph(graph, own).values():
        assert np.isfinite(made).all()
        # White around an emoji, and colours in it; pale after few steps without guidance.
        assert made.std() > 0.05
    assert own.written
