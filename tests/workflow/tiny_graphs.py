"""A tiny model of diffusers, for graphs that are compared with torch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from comfy_twin import Twin, noise_of
from diffusers_pairs import SPECS
from graphs import GRAPH, changed
from tiny_models import pipeline_params

from jaxsd.convert import write_diffusers
from jaxsd.parity.pipelines import psnr
from jaxsd.workflow import Workspace, graph_of, run_graph

SEED, CFG = 5, 4.0
DECIBELS = 80.0
"""The bar is 45; float32 gives more than 90."""
RED, BLUE = [("a red apple, ", 1.0), ("shiny", 1.3), (" on a table", 1.0)], [("blurry", 0.7)]


def written(folder: Path, family: str = "sd1", **other: Any) -> Path:
    """The folder of a tiny model with CLIP's vocabulary, and other parts of its spec."""
    tiny = SPECS[family]
    text = tuple(
        replace(one, vocab_size=49408, pad_token=one.pad_token and 49407) for one in tiny.text
    )
    spec = replace(tiny, text=text, **other)
    write_diffusers(folder / family, spec, pipeline_params(spec))
    return folder / family


def twin_of(folder: Path) -> Twin:
    """The same model in torch."""
    return Twin(diffusers.DiffusionPipeline.from_pretrained(folder, safety_checker=None))


def drawn(place: Workspace, **nodes: Any) -> np.ndarray:
    """One picture of the graph with other nodes."""
    graph = changed(GRAPH, {"5": {"batch_size": 1}, **nodes})
    return run_graph(graph_of(graph, "test"), place)["9"]


def begun(twin: Twin, sigma: float, width: int = 9) -> torch.Tensor:
    """The first sample of it."""
    noise = noise_of(SEED, (1, 4, 8, width))
    return twin.begun(noise, torch.zeros_like(noise), sigma)[0]


def same(images: np.ndarray, latents: torch.Tensor, twin: Twin) -> None:
    """Compares pictures with latents."""
    figure = psnr(images, twin.decode(latents / twin.scale).numpy())
    print(f"{figure:.1f} dB")
    assert figure > DECIBELS
