"""A graph of nodes that change models, guidance and samplers: told, drawn, and as a program."""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from graphs import GRAPH, changed
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.config import Level
from jaxsd.executables import Executables
from jaxsd.workflow import Workspace, graph_of, networks, run_graph
from jaxsd.workflow.describing import described
from jaxsd.workflow.graph import overridden
from jaxsd.workflow.to_python import python_of

NODES = {
    "5": {"batch_size": 1},
    "20": {
        "class_type": "ModelMergeSD1",
        "model1": ["4", 0],
        "model2": ["4", 0],
        "input_blocks.0.": 0.25,
    },
    "21": {
        "class_type": "ModelSamplingContinuousEDM",
        "model": ["20", 0],
        "sampling": "eps",
        "sigma_max": 20.0,
    },
    "22": {"class_type": "TomePatchModel", "model": ["21", 0], "ratio": 0.5},
    "24": {
        "class_type": "PerpNegGuider",
        "model": ["22", 0],
        "positive": ["6", 0],
        "negative": ["7", 0],
        "empty_conditioning": ["7", 0],
        "cfg": 3.0,
    },
    "25": {"class_type": "RandomNoise", "noise_seed": 5},
    "26": {"class_type": "SamplerSASolver", "model": ["22", 0], "use_pece": False},
    "27": {
        "class_type": "BasicScheduler",
        "model": ["22", 0],
        "scheduler": "normal",
        "steps": 3,
    },
    "3": {
        "class_type": "SamplerCustomAdvanced",
        "noise": ["25", 0],
        "guider": ["24", 0],
        "sampler": ["26", 0],
        "sigmas": ["27", 0],
    },
}


@pytest.mark.slow
def test_a_graph_and_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unet = replace(SMALLEST.unet, levels=(Level(8, 1, 1, 1),), norm_groups=4)
    pipe = pipeline(replace(SMALLEST, unet=unet))
    monkeypatch.setattr(networks, "open_model", lambda source, **_: pipe)
    monkeypatch.setattr(networks, "load", lambda source, *_, **__: pipe)
    place = Workspace(
        named={"checkpoints": "tiny"}, outputs=tmp_path, programs=Executables(), noise="torch"
    )
    graph = graph_of(changed(GRAPH, NODES), "test")
    images = run_graph(graph, place)["9"]
    assert np.isfinite(images).all()
    assert images.std() > 0
    text = python_of(graph, place, "a graph")
    assert "**{'input_blocks.0.': 0.25}" in text
    program = tmp_path / "program.py"
    program.write_text(text)
    np.testing.assert_array_equal(runpy.run_path(str(program))["images"], images)


def test_inputs_with_points_are_changed() -> None:
    graph = graph_of(changed(GRAPH, NODES), "test")
    for place in ("20.input_blocks.0.", "ModelMergeSD1.input_blocks.0."):
        made = overridden(graph, [f"{place}=0.5", "24.cfg=2"])
        assert made["20"].inputs["input_blocks.0."] == 0.5
        assert made["24"].inputs["cfg"] == 2
    with pytest.raises(ValueError, match="has no node"):
        overridden(graph, ["20.input_blocks.7=0.5"])


def test_what_the_editor_is_told() -> None:
    told = described(Workspace())
    for kind, inputs in (
        ("APG", ["model", "eta", "norm_threshold", "momentum"]),
        ("TCFG", ["model"]),
        ("CFGZeroStar", ["model"]),
        ("Mahiro", ["model"]),
        ("PerpNeg", ["model", "empty_conditioning", "neg_scale"]),
        ("FlipSigmas", ["sigmas"]),
        ("HyperTile", ["model", "tile_size", "swap_size", "max_depth", "scale_depth"]),
        ("SamplerER_SDE", ["solver_type", "max_stage", "eta", "s_noise"]),
        ("ModelSamplingContinuousV", ["model", "sampling", "sigma_max", "sigma_min"]),
    ):
        assert told[kind]["input_order"]["required"] == inputs
    merged = told["ModelMergeSDXL"]["input"]["required"]
    assert len(merged) == 2 + 2 + 9 + 3 + 9 + 1
    assert merged["output_blocks.8"] == [
        "FLOAT",
        {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01},
    ]
    assert told["LoraSave"]["input_order"]["optional"] == ["model_diff", "text_encoder_diff"]
    assert told["SD_4XUpscale_Conditioning"]["output"] == ["CONDITIONING", "CONDITIONING", "LATENT"]
