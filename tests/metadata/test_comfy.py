"""ComfyUI's graphs: real ones in both forms, and what must not be guessed."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from jaxsd.metadata import Made, made_of
from jaxsd.metadata.editor import in_api_form

GRAPHS = Path(__file__).parents[1] / "data/comfy"
REAL = {
    "attention_couple": ("a landscape at night\na landscape at midday", "4545", "20"),
    "embedding_example": (
        "photograph in the style of embedding:SDA768.pt girl with blonde hair\n"
        "landscape scenery view",
        "193694018275622",
        "20",
    ),
    "gligen_textbox_example": (
        "photograph scenery landscape, snow beautiful scenery mountain, glass bottle; "
        "purple galaxy bottle; sun",
        "1023216319780679",
        "20",
    ),
    "hiresfix_latent_workflow": (
        "masterpiece HDR victorian portrait painting of woman, blonde hair, mountain nature, "
        "blue sky\n",
        "89848141647836",
        "12",
    ),
    "photomaker": ("photograph of photomaker", "50156961679945", "20"),
    "sdxl_simple_example": (
        "evening sunset scenery blue sky nature, glass bottle with a galaxy in it",
        "721897303308196",
        "25",
    ),
    "sdxlturbo_example": (
        "beautiful landscape scenery glass bottle with a galaxy inside cute fennec fox snow HDR "
        "sunset",
        "0",
        "1",
    ),
    "unclip_example": ("beautiful photograph", "509273045161628", "26"),
}


@pytest.mark.parametrize("name", REAL)
def test_both_forms_of_real_graphs(name: str) -> None:
    made = made_of({"prompt": (GRAPHS / f"{name}.api.json").read_text()})
    assert made == made_of({"workflow": (GRAPHS / f"{name}.ui.json").read_text()})
    assert (made.program, made.prompt) == ("ComfyUI", REAL[name][0])
    assert made.negative_prompt.strip()
    assert (made.settings["Seed"], made.settings["Steps"]) == REAL[name][1:]
    assert made.settings["Model"]


def graph(**changed: Any) -> dict[str, Any]:
    """A graph of one sampler, with other inputs, or with more nodes."""
    nodes = {
        "1": node("CheckpointLoaderSimple", ckpt_name="m"),
        "2": node("CLIPTextEncode", text="a cat", clip=["1", 1]),
        "3": node("CLIPTextEncode", text="a dog", clip=["1", 1]),
        "4": sampler(),
    }
    return nodes | changed


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def sampler(**changed: Any) -> dict[str, Any]:
    links = {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0]}
    return node("KSampler", seed=7, steps=20, cfg=8.0, **links | changed)


def prompts(nodes: dict[str, Any], **texts: str) -> tuple[str | None, str | None]:
    made = made_of({"prompt": json.dumps(nodes), **texts})
    assert made.program == "ComfyUI"
    return made.prompt, made.negative_prompt


def test_texts_are_followed_to_where_they_are_written() -> None:
    assert prompts(graph()) == ("a cat", "a dog")
    string = node("PrimitiveString", value="a bird")
    assert prompts(graph(**{"2": node("CLIPTextEncode", text=["9", 0]), "9": string})) == (
        "a bird",
        "a dog",
    )
    control = node("ControlNetApplyAdvanced", positive=["2", 0], negative=["3", 0], strength=1)
    through = sampler(positive=["8", 0], negative=["8", 1])
    assert prompts(graph(**{"8": control, "4": through})) == ("a cat", "a dog")
    zero = graph(**{"8": node("ConditioningZeroOut", conditioning=["2", 0])})
    assert prompts(zero | {"4": sampler(negative=["8", 0])}) == ("a cat", "")
    loader = node("Efficient Loader", positive="a cat", negative="a dog", ckpt_name="m")
    assert prompts({"1": loader, "4": sampler(positive=["1", 1], negative=["1", 2])}) == (
        "a cat",
        "a dog",
    )


def test_samplers_in_parts() -> None:
    guided = {
        "4": node("SamplerCustomAdvanced", noise=["5", 0], guider=["6", 0], sigmas=["7", 0]),
        "5": node("RandomNoise", noise_seed=11),
        "6": node("BasicGuider", model=["1", 0], conditioning=["2", 0]),
        "7": node("BasicScheduler", steps=4, scheduler="simple", model=["1", 0]),
    }
    made = made_of({"prompt": json.dumps(graph(**guided))})
    assert (made.prompt, made.negative_prompt) == ("a cat", "")
    assert made.settings == {
        "Steps": "4",
        "Schedule type": "simple",
        "Seed": "11",
        "Model": "m",
    }


def test_nothing_is_guessed() -> None:
    unknown = node("RandomPromptGenerator", first="a", second="b")
    asked = graph(**{"2": node("CLIPTextEncode", text=["9", 0]), "9": unknown})
    assert prompts(asked) == (None, "a dog")
    other = node("CLIPTextEncode", text="a bird", clip=["1", 1])
    two = graph(**{"5": sampler(positive=["6", 0]), "6": other})
    assert prompts(two) == (None, "a dog")
    assert prompts({"1": node("LoadImage", image="a.png")}) == (None, None)
    # A text of webui beside a graph of unknown nodes is what their author says.
    text = "a fish\nNegative prompt: b\nSteps: 3, Seed: 1"
    assert prompts(asked, parameters=text) == ("a fish", "b")
    assert prompts(graph(), parameters="unknown\nSteps: 3, Seed: 1") == ("a cat", "a dog")


def test_hostile_graphs_take_no_time() -> None:
    count = 4_000
    rings = {
        str(i): node("Reroute", conditioning=[str((i + 1) % count), 0], x=[str(i // 2), 0])
        for i in range(count)
    }
    many = {f"s{i}": sampler(positive=["0", 0], latent_image=["0", 0]) for i in range(500)}
    started = time.process_time()
    assert prompts(rings | many)[0] is None
    assert prompts(rings | {"s": sampler(positive=["0", 0], model=["s", 0])})[0] is None
    assert prompts(graph(**{"2": node("CLIPTextEncode", text=["2", 0])}))[0] is None
    ring = {"2": node("CLIPTextEncode", text=["9", 0]), "9": node("Text", text=["9", 0])}
    ring["9"]["inputs"] |= dict.fromkeys(map(str, range(20_000)), 1)
    assert prompts(graph(**ring)) == (None, "a dog")
    alike = {str(i): node("CLIPTextEncode", text="a") for i in range(5_001)}
    assert made_of({"prompt": json.dumps(alike)}) is None
    assert time.process_time() - started < 2


def stored(name: int, kind: str, links: dict[str, int], values: list[Any], **more: Any) -> dict:
    """A node as the editor stores it."""
    inputs = [{"name": key, "type": "*", "link": link} for key, link in links.items()]
    return {"id": name, "type": kind, "mode": 0, "inputs": inputs, "widgets_values": values} | more


def link(name: int, origin: int, target: int, origin_slot: int = 0, target_slot: int = 0) -> dict:
    ends = {"origin_id": origin, "origin_slot": origin_slot, "target_id": target}
    return {"id": name, "target_slot": target_slot} | ends


SUBGRAPH = {
    "id": "f82966ab-4d32-4d23-b96f-871c8d434314",
    "inputs": [{"name": "value"}, {"name": "steps"}],
    "nodes": [
        stored(1, "CLIPTextEncode", {"text": 1}, ["inner"]),
        stored(2, "CLIPTextEncode", {}, ["a dog"]),
        stored(3, "KSampler", {"positive": 2, "negative": 3, "steps": 4}, [7, "fixed", 20, 8.0]),
        stored(4, "KSampler", {"positive": 3, "negative": 3}, [9, "fixed", 1, 1.0], mode=2),
    ],
    "links": [link(1, -10, 1), link(2, 1, 3), link(3, 2, 3), link(4, -10, 3, 1), link(5, 3, -20)],
}


def with_subgraph(values: Any, proxies: list[Any]) -> dict[str, str]:
    own = [{"name": name, "widget": {"name": name}, "link": None} for name in ("value", "steps")]
    outer = stored(9, SUBGRAPH["id"], {}, values, properties={"proxyWidgets": proxies})
    outer["inputs"] = own
    table = {"nodes": [outer], "links": [], "definitions": {"subgraphs": [SUBGRAPH]}}
    return {"workflow": json.dumps(table)}


VALUE, STEPS, SEED = ["-1", "value"], ["-1", "steps"], ["3", "seed"]


@pytest.mark.parametrize(
    ("values", "proxies", "want"),
    [
        (["a cat", 5], [], ("a cat", "5")),
        (["a cat", 5], [VALUE, STEPS, SEED], ("a cat", "5")),
        ([7, 5, "a cat"], [SEED, STEPS, VALUE], ("a cat", "5")),
        ([], [VALUE], ("inner", "20")),
        ({"value": "a cat"}, [VALUE], ("a cat", "20")),
    ],
)
def test_subgraphs(values: Any, proxies: list[Any], want: tuple[str, str]) -> None:
    """Values of a node that stands for one: of all its fields, or of its own inputs alone."""
    made = made_of(with_subgraph(values, proxies))
    assert (made.prompt, made.negative_prompt) == (want[0], "a dog")
    assert (made.settings["Steps"], made.settings["Seed"]) == (want[1], "7")
    assert "Samplers" not in made.settings  # the one that is muted does not count


def test_values_of_subgraphs_that_do_not_fit_are_not_guessed() -> None:
    texts = with_subgraph(["a cat", 5, 3, 4], [VALUE, SEED, STEPS])
    assert made_of(texts) == Made("ComfyUI")
    with pytest.raises(ValueError, match="node 9, a subgraph, has 4 values for 3 fields"):
        in_api_form(json.loads(texts["workflow"]), lambda kind: None)


def test_hostile_subgraphs_take_no_time() -> None:
    doubled = [
        {"id": str(i), "nodes": [{"id": 1, "type": str(i + 1)}, {"id": 2, "type": str(i + 1)}]}
        for i in range(45)
    ]
    wide = {"id": "0", "nodes": [], "links": [[i, 1, 0] for i in range(50_000)]}
    many = [{"id": i, "type": "0"} for i in range(5_000)]
    one = [{"id": 1, "type": "0"}]
    for nodes, subgraphs in ((one, doubled), (many, [wide])):
        table = {"nodes": nodes, "links": [], "definitions": {"subgraphs": subgraphs}}
        started = time.process_time()
        assert made_of({"workflow": json.dumps(table)}) == Made("ComfyUI")
        assert time.process_time() - started < 1
