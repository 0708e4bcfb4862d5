"""Graphs that people made, on a tiny random model: they run, or one line says why not."""

import os
import runpy
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from photomaker_fakes import photomaker_tensors
from PIL import Image
from real_files import DATA, larger
from tiny_models import TINY, controlnet_params, pipeline_params, random_params, tree_of, uniform

from jaxsd.adapters.lora import initial_lora
from jaxsd.adapters.lora_writing import write_lora_kohya
from jaxsd.config import (
    ControlNetConfig,
    ModelSpec,
    ScheduleConfig,
    SightConfig,
    VisionConfig,
)
from jaxsd.convert import write_diffusers
from jaxsd.convert.adapter_parameters import fuser_parameters, position_net_parameters
from jaxsd.convert.controlnet import write_controlnet
from jaxsd.convert.diffusers.parts import PROJECTED_VISION, save_part
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import FlatTree, in_memory
from jaxsd.convert.names import torch_slots
from jaxsd.convert.parameters import vision_parameters
from jaxsd.convert.slots import lay_out
from jaxsd.workflow import Graph, Workspace, check_graph, read_graph, run_graph, table_from
from jaxsd.workflow.to_python import python_of

SMALLER = {
    "EmptyLatentImage": {"width": 64, "height": 64},
    "LatentUpscale": {"width": 96, "height": 80},
    "ImageScale": {"width": 80, "height": 64},
    "KSampler": {"steps": 2},
    "KSamplerAdvanced": {"steps": 4},
}
"""Sizes and steps for a test."""
OF_XL = ("cog_photomaker_api", "sdxl_revision_text_prompts")
"""Files whose nodes are for XL alone."""
STEPS = {"start_at_step": 2, "end_at_step": 2}


def files() -> list[Path]:
    return sorted((larger("comfy") / "api").glob("*.json"))


def is_core(path: Path) -> bool:
    """Whether a file has no custom nodes, as the list beside it says."""
    row = next(
        line
        for line in (larger("comfy") / "README.md").read_text().splitlines()
        if line.startswith(f"| api/{path.name} ")
    )
    return "+ custom" not in row


def smaller(
    graph: Graph, sizes: dict[str, dict[str, int]] = SMALLER, steps: dict[str, int] = STEPS
) -> Graph:
    """The graph with other inputs by class; a sampler that takes over does so at one of `steps`."""
    made = {}
    for name, node in graph.items():
        values = sizes.get(node.kind, {})
        halves = {key: own for key, own in steps.items() if 0 < node.inputs.get(key, 0) < 10_000}
        made[name] = node._replace(inputs={**node.inputs, **values, **halves})
    return made


def test_graphs_with_other_nodes_get_one_line() -> None:
    refused = {}
    for path in files():
        try:
            check_graph(read_graph(path)[0])
        except ValueError as error:
            refused[path.stem] = str(error)
    core = {path.stem for path in files() if is_core(path)}
    assert core == {path.stem for path in files()} - set(refused)
    for name, line in refused.items():
        assert line.startswith("the graph has nodes that are not here: "), name
        assert "\n" not in line


def told_of_pictures(vision: VisionConfig) -> dict[str, ModelSpec]:
    """Tiny models that are told what such a tower sees."""
    unclip = replace(
        TINY["sd2-v"],
        unet=replace(TINY["sd2-v"].unet, label_dim=2 * vision.projection_dim),
        sight=SightConfig(vision, ScheduleConfig(beta_schedule="squaredcos_cap_v2")),
    )
    return {"unclip": with_vocabulary(unclip), "xl": with_vocabulary(TINY["sdxl"])}


def gligen(spec: ModelSpec) -> FlatTree:
    """GLIGEN's layers for a model."""
    net = position_net_parameters(spec.text[0].width, spec.unet.context_dim)
    shapes = {f"position_net/{path}": shape for path, shape in net.items()}
    shapes |= fuser_parameters(spec.unet)
    tree = {path: in_memory(uniform(path, shape)) for path, shape in shapes.items()}
    return lay_out(torch_slots(shapes), shapes, tree, "it")


def with_vocabulary(spec: ModelSpec) -> ModelSpec:
    """The model with CLIP's words."""
    text = tuple(
        replace(one, vocab_size=49408, pad_token=one.pad_token and 49407) for one in spec.text
    )
    return replace(spec, text=text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """ComfyUI's folders with a tiny model, and with what else graphs name."""
    base = tmp_path_factory.mktemp("comfy")
    spec = with_vocabulary(TINY["sd1"])
    params = pipeline_params(spec)
    write_diffusers(base / "tiny", spec, params)
    lora = initial_lora(params, ["attn"], rank=2, alpha=2.0, key=jax.random.key(1))
    lora = {path: own | {"up": own["up"] + 0.05} for path, own in lora.items()}
    write_lora_kohya(base / "lora.safetensors", lora, spec)
    net = ControlNetConfig(spec.unet)
    write_controlnet(base / "net", net, controlnet_params(net))
    width = spec.text[0].width
    vectors = np.linspace(-1, 1, 2 * width, dtype=np.float32).reshape(2, width)
    vision = VisionConfig(16, 1, 2, 16, "gelu", image_size=8, patch_size=4, projection_dim=24)
    tower = random_params(tree_of(vision_parameters(vision)))
    save_part(base / "vision", PROJECTED_VISION, vision, tower, overwrite=False)
    people = {name: in_memory(one) for name, one in photomaker_tensors().items()}
    write_safetensors(base / "photomaker.safetensors", people, {})
    for name, own in told_of_pictures(vision).items():
        write_diffusers(base / name, own, pipeline_params(own))
    side = spec.unet.context_dim
    own = {"weight": np.eye(side, dtype=np.float32), "bias": np.ones(side, np.float32)}
    layers = {
        f"{side}.{place}.linear.0.{kind}": in_memory(array)
        for place in (0, 1)
        for kind, array in own.items()
    }
    write_safetensors(base / "hypernet.safetensors", layers, {})
    write_safetensors(base / "gligen.safetensors", gligen(spec), {})
    (base / "models/embeddings").mkdir(parents=True)
    file = base / "models/embeddings/any.safetensors"
    write_safetensors(file, {"emb_params": in_memory(vectors)}, {})
    return Workspace(
        models=[base / "models"],
        named={
            "checkpoints": str(base / "tiny"),
            "diffusion_models": str(base / "tiny"),
            "vae": str(base / "tiny"),
            "loras": str(base / "lora.safetensors"),
            "upscale_models": str(DATA / "esrgan_slim_x4.safetensors"),
            "controlnet": str(base / "net"),
            "clip_vision": str(base / "vision"),
            "photomaker": str(base / "photomaker.safetensors"),
            "hypernetworks": str(base / "hypernet.safetensors"),
            "gligen": str(base / "gligen.safetensors"),
            "sd21-unclip-h.ckpt": str(base / "unclip"),
            "SDA768.pt": str(base / "models/embeddings/any.safetensors"),
        },
        inputs=base / "input",
        outputs=base / "output",
    )


@pytest.mark.release
@pytest.mark.parametrize("path", files() if "JAXSD_TESTDATA" in os.environ else [], ids=str)
def test_core_graphs_draw(path: Path, place: Workspace, tmp_path: Path) -> None:
    """They draw, the picture has the graph inside, and a program draws the same pixels."""
    if not is_core(path):
        pytest.skip("custom nodes")
    graph = smaller(read_graph(path)[0])
    if path.stem in OF_XL:
        xl = Path(place.named["clip_vision"]).parent / "xl"
        place = replace(place, named={**place.named, "checkpoints": str(xl)})
    rng = np.random.default_rng(1)
    place.inputs.mkdir(exist_ok=True)
    for node in graph.values():
        if node.kind == "LoadImage":
            pixels = rng.integers(0, 256, (64, 72, 4), np.uint8)
            file = place.inputs / Path(node.inputs["image"]).name
            place.named = {**place.named, node.inputs["image"]: str(file)}
            Image.fromarray(pixels).save(file, "PNG")
    table = table_from(graph)
    own = replace(place, outputs=tmp_path / "run", texts={"prompt": table}, written=[])
    for images in run_graph(graph, own).values():
        assert images.shape[-1] == 3
        assert np.isfinite(images).all()
        assert images.std() > 0
    assert all(table_from(read_graph(file)[0]) == table for file in own.written)
    program = tmp_path / "program.py"
    program.write_text(python_of(graph, replace(own, outputs=tmp_path / "program"), path.name))
    again = runpy.run_path(str(program))["place"].written
    assert [file.name for file in again] == [file.name for file in own.written]
    for one, other in zip(again, own.written, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other)))
