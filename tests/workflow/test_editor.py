"""The editor's files in the API's form."""

import json
from pathlib import Path
from typing import Any

import pytest
from real_files import larger

import jaxsd.workflow  # noqa: F401  which knows the classes
from jaxsd.metadata.editor import in_api_form as put_in_api_form
from jaxsd.workflow.schema import CLASSES, fields_of

OTHER = {
    "tpl_sdxlturbo_example": {"27", "25"},
    "tpl_sdxl_revision_text_prompts": {"3", "6", "34", "38"},
    "cog_sdxl_lightning_lora_ui": {"4"},
    "cog_sdxl_lightning_unet_ui": {"4"},
    "cog_photomaker_ui": {"12"},
}
"""Nodes that are not the same in both files of a pair, which were saved at other times."""


def in_api_form(table: dict[str, Any]) -> dict[str, Any]:
    return put_in_api_form(table, fields_of)


def pairs() -> list[tuple[Path, Path]]:
    folder = larger("comfy")
    found = []
    for path in sorted((folder / "ui").glob("*.json")):
        name = path.stem.removeprefix("tpl_").replace("_ui", "_api")
        own = folder / "api" / f"{name}.json"
        found += [(path, own)] if own.exists() else []
    return found


def test_real_pairs_agree() -> None:
    """As far as the nodes' classes are here, and the newer file says nothing more."""
    compared = 0
    for editor, api in pairs():
        got, want = in_api_form(json.loads(editor.read_text())), json.loads(api.read_text())
        for name in (got.keys() | want.keys()) - OTHER.get(editor.stem, set()):
            assert got[name]["class_type"] == want[name]["class_type"]
            known = CLASSES.get(got[name]["class_type"])
            for key in want[name]["inputs"]:
                if known is not None and key in known.inputs:
                    one = want[name]["inputs"][key]
                    if isinstance(one, float):  # some files round it
                        one = pytest.approx(one, rel=1e-12)
                    assert got[name]["inputs"][key] == one, (editor, name)
                    compared += 1
    assert compared > 500


def ui_node(name: int, kind: str, links: dict[str, int], **more: Any) -> dict[str, Any]:
    types = {"latent_image": "LATENT", "samples": "LATENT", "images": "IMAGE", "vae": "VAE"}
    inputs = [
        {"name": key, "type": types.get(key, "*"), "link": link} for key, link in links.items()
    ]
    return {"id": name, "type": kind, "mode": 0, "inputs": inputs, "outputs": []} | more


def table(nodes: list[dict[str, Any]], links: list[list[Any]], **more: Any) -> dict[str, Any]:
    return {"nodes": nodes, "links": links} | more


def test_reroutes_primitives_notes_muted_and_bypassed_nodes() -> None:
    latent = [{"name": "LATENT", "type": "LATENT"}]
    got = in_api_form(
        table(
            [
                ui_node(1, "EmptyLatentImage", {"width": 10}, widgets_values=[512, 256, 3]),
                ui_node(2, "PrimitiveNode", {}, widgets_values=[640, "fixed"]),
                ui_node(3, "Reroute", {"": 11}),
                ui_node(4, "LatentFlip", {"samples": 12}, mode=4, outputs=latent),
                ui_node(5, "VAEDecode", {"samples": 13, "vae": 14}),
                ui_node(6, "VAELoader", {}, mode=2, widgets_values=["x"]),
                ui_node(7, "Note", {}, widgets_values=["text"]),
                ui_node(8, "KSampler", {}, widgets_values=[5, "fixed", 9, 2.5, "lms", "beta", 1]),
            ],
            [
                [10, 2, 0, 1, 0, "INT"],
                [11, 1, 0, 3, 0, "LATENT"],
                [12, 3, 0, 4, 0, "LATENT"],
                [13, 4, 0, 5, 0, "LATENT"],
                [14, 6, 0, 5, 1, "VAE"],
            ],
        )
    )
    assert set(got) == {"1", "5", "8"}
    assert got["1"]["inputs"] == {"width": 640, "height": 256, "batch_size": 3}
    assert got["5"]["inputs"] == {"samples": ["1", 0]}
    assert got["8"]["inputs"]["scheduler"] == "beta"
    assert got["8"]["inputs"]["steps"] == 9


def test_subgraphs_are_put_in_place() -> None:
    inside = table(
        [
            ui_node(1, "EmptyLatentImage", {"width": 1}, widgets_values=[512, 512, 1]),
            ui_node(2, "VAEDecode", {"samples": 2, "vae": 3}),
        ],
        [
            {"id": 1, "origin_id": -10, "origin_slot": 1, "target_id": 1, "target_slot": 0},
            {"id": 2, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0},
            {"id": 3, "origin_id": -10, "origin_slot": 0, "target_id": 2, "target_slot": 1},
            {"id": 4, "origin_id": 2, "origin_slot": 0, "target_id": -20, "target_slot": 0},
        ],
        id="sub",
        inputs=[{"name": "vae"}, {"name": "width"}],
        outputs=[{"name": "IMAGE"}],
    )
    outer = ui_node(9, "sub", {"vae": 5, "width": None}, widgets_values=[96])
    outer["inputs"][1]["widget"] = {"name": "width"}
    got = in_api_form(
        table(
            [
                ui_node(8, "VAELoader", {}, widgets_values=["x"]),
                outer,
                ui_node(10, "PreviewImage", {"images": 6}),
            ],
            [[5, 8, 0, 9, 0, "VAE"], [6, 9, 0, 10, 0, "IMAGE"]],
            definitions={"subgraphs": [inside]},
        )
    )
    assert set(got) == {"8", "9:1", "9:2", "10"}
    assert got["9:1"]["inputs"]["width"] == 96
    assert got["9:2"]["inputs"] == {"samples": ["9:1", 0], "vae": ["8", 0]}
    assert got["10"]["inputs"]["images"] == ["9:2", 0]
    inside["nodes"].append(ui_node(3, "sub", {}))
    with pytest.raises(ValueError, match="subgraphs more than"):
        in_api_form(table([outer], [], definitions={"subgraphs": [inside]}))
