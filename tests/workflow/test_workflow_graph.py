"""Graphs: what is read, what is refused in one line, and what runs, with nodes that only count."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from graphs import GRAPH, changed
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jaxsd.workflow import Workspace, check_graph, graph_of, overridden, read_graph, run_graph
from jaxsd.workflow.schema import CLASSES, Kind, Range, node

RAN: list[str] = []
NUMBER = Annotated[int, Kind("NUMBER")]


@pytest.fixture(autouse=True)
def counting() -> Iterator[None]:
    """Classes of nodes that write down that they ran."""
    before = set(CLASSES)
    RAN.clear()

    @node("Give", "NUMBER", "NUMBER")
    def give(*, value: Annotated[int, Range(0, 99)] = 1) -> tuple[int, int]:
        RAN.append("give")
        return value, -value

    @node("Add", "NUMBER")
    def add(*, a: NUMBER, b: NUMBER | None = None) -> int:
        RAN.append("add")
        return a + (b or 0)

    @node("Divide", "NUMBER", takes_lists=True, gives_lists=True)
    def divide(*, a: NUMBER) -> list[int]:
        RAN.append("divide")
        return [one + i for one in a for i in range(3)]

    @node("Show", "NUMBER", is_output=True)
    def show(*, a: NUMBER) -> int:
        RAN.append("show")
        return a

    yield
    for name in set(CLASSES) - before:
        del CLASSES[name]


def counted(**nodes: Any) -> dict[str, Any]:
    return {name: {"class_type": kind, "inputs": own} for name, (kind, own) in nodes.items()}


SUM = {
    "g": ("Give", {"value": 4}),
    "h": ("Give", {"value": 7}),
    "unused": ("Give", {"value": 9}),
    "s": ("Add", {"a": ["g", 0], "b": ["h", 1], "more": [1, 2, 3]}),
    "out": ("Show", {"a": ["s", 0]}),
}


def test_each_node_runs_once_and_only_where_it_changed() -> None:
    place, cache = Workspace(), {}
    assert run_graph(graph_of(counted(**SUM), "test"), place, cache) == {"out": -3}
    assert RAN == ["give", "give", "add", "show"]
    RAN.clear()
    run_graph(graph_of(counted(**SUM), "test"), place, cache)
    assert RAN == ["show"]
    RAN.clear()
    other = overridden(graph_of(counted(**SUM), "test"), ["h.value=8"])
    assert run_graph(other, place, cache) == {"out": -4}
    assert RAN == ["give", "add", "show"]


def test_what_follows_a_list_runs_for_each() -> None:
    lists = {
        "g": ("Give", {"value": 4}),
        "d": ("Divide", {"a": ["g", 0]}),
        "s": ("Add", {"a": ["d", 0], "b": ["g", 0]}),
        "e": ("Divide", {"a": ["s", 0]}),
        "out": ("Show", {"a": ["e", 0]}),
    }
    run_graph(graph_of(counted(**lists), "test"), Workspace())
    assert ["give", "divide", *["add"] * 3, "divide", *["show"] * 9] == RAN


@pytest.mark.parametrize(
    ("nodes", "line"),
    [
        ({"s": ("Sum", {"a": ["g", 0]})}, "nodes that are not here: Sum"),
        ({"s": ("Add", {})}, r"node s \(Add\): a is missing; it is a NUMBER"),
        ({"s": ("Add", {"a": 3})}, "a is a NUMBER; it comes from another node"),
        ({"s": ("Add", {"a": ["x", 0]})}, "a comes from a node that is not there"),
        ({"s": ("Add", {"a": ["g", 2]})}, r"a is output 2 of node g \(Give\), which has 2"),
        ({"s": ("Add", {"a": ["s", 0]})}, "nodes out, s need each other, in a ring"),
        ({"g": ("Give", {"value": 100})}, "value 100 is out of range; allowed is 0 to 99"),
        ({"g": ("Give", {"value": "x"})}, "value is 'x', and a INT is needed"),
        ({"out": ("Add", {"a": ["g", 0]})}, "no output; add SaveImage"),
    ],
)
def test_one_line_says_what_is_wrong(nodes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        check_graph(graph_of(counted(**(SUM | nodes)), "test"))
    assert not RAN


def test_a_long_chain_runs_and_a_ring_in_it_is_found() -> None:
    names = [f"n{i}" for i in range(1000)]
    chain = dict(zip(names, (("Add", {"a": [one, 0]}) for one in ["g", *names]), strict=False))
    nodes = {"g": SUM["g"], "out": ("Show", {"a": [names[-1], 0]})} | chain
    assert run_graph(graph_of(counted(**nodes), "test"), Workspace()) == {"out": 4}
    nodes["n10"] = ("Add", {"a": ["n20", 0]})
    with pytest.raises(ValueError, match="need each other, in a ring"):
        check_graph(graph_of(counted(**nodes), "test"))


def test_names_of_real_inputs_are_checked() -> None:
    for inputs, line in (
        ({"sampler_name": "eular"}, "sampler_name 'eular' is unknown; nearest are euler"),
        ({"denoise": 1.5}, "denoise 1.5 is out of range; allowed is 0 to 1"),
        (
            {"model": ["4", 2]},
            r"model is a MODEL, and node 4 \(CheckpointLoaderSimple\) gives a VAE",
        ),
    ):
        with pytest.raises(ValueError, match=line):
            check_graph(graph_of(changed(GRAPH, {"3": inputs}), "test"))
    custom = {"10": {"class_type": "CannyEdgePreprocessor"}, "9": {"images": ["10", 0]}}
    with pytest.raises(ValueError, match=r"not here: Canny.* \(instead of .*: the node Canny\)"):
        check_graph(graph_of(changed(GRAPH, custom), "test"))


def test_files_are_looked_for_before_anything_runs(tmp_path: Path) -> None:
    graph = graph_of(counted(**SUM) | GRAPH, "test")
    with pytest.raises(FileNotFoundError, match=r"no checkpoints named 'any.safetensors'.*--map"):
        run_graph(graph, Workspace(models=[tmp_path]))
    assert not RAN


def test_values_by_id_title_and_class() -> None:
    table = changed(GRAPH, {})
    table["6"]["_meta"] = {"title": "Prompt"}
    graph = overridden(
        graph_of(table, "test"), ["3.steps=7", "Prompt.text=a = 3", "KSampler.cfg=2"]
    )
    assert graph["3"].inputs["steps"] == 7
    assert graph["3"].inputs["cfg"] == 2
    assert graph["6"].inputs["text"] == "a = 3"
    for text, line in (("3.step=1", "has no input 'step'"), ("x.y=1", "no node"), ("3", "is not")):
        with pytest.raises(ValueError, match=line):
            overridden(graph, [text])


def test_files_that_hold_a_graph(tmp_path: Path) -> None:
    plain, posted, picture = (tmp_path / name for name in ("a.json", "b.json", "c.png"))
    plain.write_text(json.dumps(GRAPH))
    posted.write_text(json.dumps({"prompt": GRAPH, "client_id": "x"}))
    chunk = PngInfo()
    chunk.add_text("prompt", json.dumps(GRAPH))
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(picture, pnginfo=chunk)
    first, *others = (read_graph(path)[0] for path in (plain, posted, picture))
    assert others == [first, first]
    for text, says in (
        ('{"a": 1}', "is no graph: 'a' has no class_type"),
        ('{"a": {"class_type": "A", "inputs": []}}', "inputs of node a are no table"),
        ('{"a": {"class_type": "A", "_meta": "A"}}', "_meta of node a is no table"),
        ("{}", "no.json is an empty graph"),
        ('{"prompt": {}}', "no.json is an empty graph"),
    ):
        (tmp_path / "no.json").write_text(text)
        with pytest.raises(ValueError, match=says):
            read_graph(tmp_path / "no.json")
