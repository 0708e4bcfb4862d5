"""A graph drawn by a tiny model: what is kept, and the same as a program."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from graphs import GRAPH, changed
from PIL import Image
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.config import Level
from jaxsd.executables import Executables
from jaxsd.workflow import Workspace, graph_of, networks, read_graph, run_graph, seeded
from jaxsd.workflow.to_python import python_of


def test_a_graph_and_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unet = replace(SMALLEST.unet, levels=(Level(8, 1, 0, 1),), norm_groups=4)
    pipe, loaded, read = pipeline(replace(SMALLEST, unet=unet)), [], []
    monkeypatch.setattr(networks, "open_model", lambda source, **own: read.append(own) or pipe)
    monkeypatch.setattr(networks, "load", lambda source, *_, **__: loaded.append(source) or pipe)
    table = changed(GRAPH, {"5": {"batch_size": 1}, "3": {"steps": 2, "sampler_name": "lcm"}})
    table["6"]["_meta"] = {"title": 'The "prompt"\n'}
    place = Workspace(
        named={"checkpoints": "tiny"},
        outputs=tmp_path,
        programs=Executables(),
        reading={"prediction": "v"},
        texts={"prompt": table},
    )
    graph, cache, began = graph_of(table, "test"), {}, []
    for number in range(2):
        run_graph(seeded(graph, number), place, cache, lambda name, node: began.append(name))
    assert loaded == ["tiny"]
    assert began == ["4", "6", "7", "5", "3", "8", "9", "3", "8", "9"]
    first, second = (np.asarray(Image.open(path)) for path in place.written)
    assert first.shape == (16, 18, 3)
    assert np.abs(first.astype(int) - second).max() > 0
    assert read_graph(place.written[0])[0] == graph
    program = tmp_path / "program.py"
    program.write_text(python_of(graph, place, 'a """ graph'))
    again = runpy.run_path(str(program))
    assert len(again["images"]) == 1
    assert read == [{"prediction": "v"}] * 2
    made = np.asarray(Image.open(tmp_path / "made_00003_.png"))
    np.testing.assert_array_equal(made, first)
    assert json.loads(Image.open(place.written[1]).text["prompt"]) == table
