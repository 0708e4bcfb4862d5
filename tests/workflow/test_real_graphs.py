"""Graphs that people made, on a tiny random model: they run, or one line says why not."""

import os
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from real_files import DATA, larger
from tiny_models import TINY, controlnet_params, pipeline_params

from jaxsd.adapters.lora import initial_lora
from jaxsd.adapters.lora_writing import write_lora_kohya
from jaxsd.config import ControlNetConfig
from jaxsd.convert import write_diffusers
from jaxsd.convert.controlnet import write_controlnet
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory
from jaxsd.workflow import Graph, Workspace, check_graph, read_graph, run_graph

NOT_HERE = {
    "cog_photomaker_api": "PhotoMakerEncode, PhotoMakerLoader",
    "hypernetwork_example": "HypernetworkLoader",
    "gligen_textbox_example": "GLIGENLoader, GLIGENTextBoxApply",
}
"""Files with core nodes whose networks are not here."""
SMALLER = {
    "EmptyLatentImage": {"width": 64, "height": 64},
    "LatentUpscale": {"width": 96, "height": 80},
    "ImageScale": {"width": 80, "height": 64},
    "KSampler": {"steps": 2},
    "KSamplerAdvanced": {"steps": 4},
}
"""Sizes and steps for a test."""
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


def smaller(graph: Graph) -> Graph:
    made = {}
    for name, node in graph.items():
        values = SMALLER.get(node.kind, {})
        halves = {key: 2 for key in STEPS if 0 < node.inputs.get(key, 0) < 10_000}
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
    assert {name for name in refused if name in core} == set(NOT_HERE)
    assert core | set(refused) == {path.stem for path in files()}
    for name, line in refused.items():
        assert line.startswith("the graph has nodes that are not here: "), name
        assert "\n" not in line
        assert NOT_HERE.get(name, "") in line


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """ComfyUI's folders with a tiny model, and with what else graphs name."""
    base = tmp_path_factory.mktemp("comfy")
    tiny = TINY["sd1"]
    spec = replace(
        tiny,
        text=tuple(replace(one, vocab_size=49408, pad_token=49407) for one in tiny.text),
    )
    params = pipeline_params(spec)
    write_diffusers(base / "tiny", spec, params)
    lora = initial_lora(params, ["attn"], rank=2, alpha=2.0, key=jax.random.key(1))
    lora = {path: own | {"up": own["up"] + 0.05} for path, own in lora.items()}
    write_lora_kohya(base / "lora.safetensors", lora, spec)
    net = ControlNetConfig(spec.unet)
    write_controlnet(base / "net", net, controlnet_params(net))
    width = spec.text[0].width
    vectors = np.linspace(-1, 1, 2 * width, dtype=np.float32).reshape(2, width)
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
            "SDA768.pt": str(base / "models/embeddings/any.safetensors"),
        },
        inputs=base / "input",
        outputs=base / "output",
    )


@pytest.mark.release
@pytest.mark.parametrize("path", files() if "JAXSD_TESTDATA" in os.environ else [], ids=str)
def test_core_graphs_draw(path: Path, place: Workspace) -> None:
    if not is_core(path) or path.stem in NOT_HERE:
        pytest.skip("nodes that are not here")
    graph = smaller(read_graph(path)[0])
    rng = np.random.default_rng(1)
    place.inputs.mkdir(exist_ok=True)
    for node in graph.values():
        if node.kind == "LoadImage":
            pixels = rng.integers(0, 256, (64, 72, 4), np.uint8)
            file = place.inputs / Path(node.inputs["image"]).name
            place.named = {**place.named, node.inputs["image"]: str(file)}
            Image.fromarray(pixels).save(file, "PNG")
    for images in run_graph(graph, place).values():
        assert images.shape[-1] == 3
        assert np.isfinite(images).all()
        assert images.std() > 0
