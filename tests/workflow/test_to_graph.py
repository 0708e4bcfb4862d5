"""Recipes as graphs, and what of them is left out."""

from dataclasses import replace

import pytest

from jaxsd.settings import Control, Lora, Recipe, Settings
from jaxsd.workflow import check_graph, graph_of
from jaxsd.workflow.to_graph import graph_of_recipe

PLAIN = Settings(
    prompt="a cat",
    negative_prompt="blurry",
    sampler="dpm++_2m_karras",
    steps=20,
    guidance_scale=7.0,
    width=512,
    height=384,
    seed=3,
    noise="torch",
    clip_skip=2,
    strength=1.0,
)


def kinds(settings: Settings) -> tuple[dict[str, dict], tuple[str, ...]]:
    recipe = Recipe(settings, model="some/where/model.safetensors", dtype="float32", version="")
    table, left = graph_of_recipe(recipe)
    check_graph(graph_of(table, "test"))
    return {own["class_type"]: own["inputs"] for own in table.values()}, left


def test_a_text() -> None:
    made, left = kinds(PLAIN)
    assert left == ()
    assert made["CheckpointLoaderSimple"]["ckpt_name"] == "model.safetensors"
    assert made["CLIPSetLastLayer"]["stop_at_clip_layer"] == -2
    told = made["KSampler"]
    assert (told["sampler_name"], told["scheduler"], told["steps"]) == ("dpmpp_2m", "karras", 20)
    assert (told["seed"], told["cfg"], told["denoise"]) == (3, 7.0, 1.0)


def test_all_that_a_graph_can_say() -> None:
    made, left = kinds(
        replace(
            PLAIN,
            image="in/a.png",
            mask="in/b.png",
            strength=0.5,
            lora=(Lora("l/one.safetensors", 0.8, 0.6),),
            control=(Control("in/c.png", "nets/canny.safetensors", 0.7, 0.1, 0.9),),
            freeu=(1.3, 1.4, 0.9, 0.2),
            hires=1.5,
        )
    )
    assert left == ()
    assert made["LoraLoader"]["strength_clip"] == 0.6
    assert made["ControlNetApplyAdvanced"]["end_percent"] == 0.9
    assert made["LoadImageMask"] == {"image": "b.png", "channel": "red"}
    assert made["LatentUpscaleBy"]["scale_by"] == 1.5
    assert "FreeU_V2" in made


def test_what_is_left_out_is_named() -> None:
    _, left = kinds(
        replace(PLAIN, prompt="a (cat:1.2) AND a dog", noise="jax", apg=(0.0, 15.0, 0.0))
    )
    assert left == (
        "apg (0.0, 15.0, 0.0)",
        "noise jax (ComfyUI draws torch's)",
        "prompt_weights webui (ComfyUI has its own)",
        "AND in the prompt",
    )
    with pytest.raises(ValueError, match="ComfyUI has no sampler 'restart'"):
        kinds(replace(PLAIN, sampler="restart"))
