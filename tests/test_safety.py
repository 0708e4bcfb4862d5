"""The safety checker's verdicts, its files, and what becomes of a picture that is not fit."""

import json

import numpy as np
import pytest
from clip_fakes import VISION, clip_settings, random_tree

from jaxsd.convert.diffusers.names import vision_slots
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import flatten, in_memory
from jaxsd.convert.parameters import vision_parameters
from jaxsd.convert.safety_checker import open_safety_checker
from jaxsd.convert.slots import lay_out
from jaxsd.drawings import only_fit
from jaxsd.outputs import saved
from jaxsd.safety import Verdict, verdict
from jaxsd.settings import Recipe, Settings

RNG = np.random.default_rng(0)


def stored(folder, nested=False, **changes):
    """A folder of a safety checker with random weights, in the names of either transformers."""
    shapes = vision_parameters(VISION)
    tensors = lay_out(vision_slots(shapes), shapes, flatten(random_tree(shapes)), "tower")
    if nested:  # before transformers 5
        tensors = {
            name.replace("vision_model.", "vision_model.vision_model."): tensor
            for name, tensor in tensors.items()
        }
        tensors["vision_model.vision_model.embeddings.position_ids"] = in_memory(np.arange(17))
    for name, count in (("concept_embeds", 17), ("special_care_embeds", 3)):
        tensors[name] = in_memory(RNG.normal(size=(count, 24)).astype(np.float32))
        tensors[f"{name}_weights"] = in_memory(np.full(count, 0.2, np.float32))
    tensors |= changes
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(clip_settings()))
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    write_safetensors(folder / "model.safetensors", kept, {"format": "pt"})
    return folder


def test_a_special_concept_makes_those_behind_it_stricter():
    axes = np.eye(4, dtype=np.float32)
    concepts = {
        "special_care_embeds": axes[[0, 1, 1]] * 3,
        "special_care_embeds_weights": np.float32([0.5, 0.799, 0.805]),
        "concept_embeds": axes[[1, 1, 1, 0]],
        "concept_embeds_weights": np.float32([0.79, 0.8096, 0.805, 0.605]),
    }
    said = verdict(np.float32([1.2, 1.6, 0, 0]), concepts)  # cosines 0.6 and 0.8
    np.testing.assert_allclose(said.special, [0.1, 0.011, 0.005], atol=1e-6)
    np.testing.assert_allclose(said.concepts, [0.02, 0, 0.005, 0.005], atol=1e-6)
    assert said.reason == "concept 0 0.020, concept 2 0.005, concept 3 0.005 over its limit"
    alone = {name: rows[1:] if "special" in name else rows for name, rows in concepts.items()}
    alone["special_care_embeds_weights"] = np.float32([0.801, 0.801])
    np.testing.assert_allclose(
        verdict(np.float32([0.6, 0.8, 0, 0]), alone).concepts,
        [0.01, -0.01, -0.005, -0.005],
        atol=1e-6,
    )


def test_files_of_old_and_new_transformers_are_read(tmp_path):
    new, old = open_safety_checker(stored(tmp_path / "new")), stored(tmp_path / "old", nested=True)
    old = open_safety_checker(old)
    assert new.config == old.config == VISION
    assert new.vision.keys() == old.vision.keys() == vision_parameters(VISION).keys()
    assert {name: tensor.shape for name, tensor in old.concepts.items()} == {
        "concept_embeds": (17, 24),
        "concept_embeds_weights": (17,),
        "special_care_embeds": (3, 24),
        "special_care_embeds_weights": (3,),
    }


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no safety checker at .*none; it is the folder"):
        open_safety_checker(tmp_path / "none")
    with pytest.raises(ValueError, match=r"no safety checker, which has special_care_embeds and"):
        open_safety_checker(stored(tmp_path / "a", special_care_embeds=None))
    wide = in_memory(np.zeros((17, 5), np.float32))
    with pytest.raises(ValueError, match=r"concept_embeds is \[17, 5\] instead of \[17, 24\]"):
        open_safety_checker(stored(tmp_path / "b", concept_embeds=wide))


def test_a_picture_that_is_not_fit_is_not_written(tmp_path, monkeypatch):
    """Neither by itself nor on the sheet; a line says why."""

    class Dark:
        def __init__(self, folder):
            pass

        def __call__(self, picture):
            score = np.float32(0.5 - picture.mean() / 255)
            return Verdict(np.zeros(3), np.array([-1, score]))

    monkeypatch.setattr("jaxsd.safety.SafetyChecker", Dark)
    lines = []
    fit = only_fit("sc", lines.append)
    options = {"sampler": "ddim", "steps": 2, "guidance_scale": 3.0, "strength": 1.0}
    recipe = Recipe(Settings("a cat", width=8, height=8, **options), "m", "float32", "1")
    images = [np.full((8, 8, 3), grey, np.uint8) for grey in (200, 0, 220)]
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    sheet = tmp_path / "sheet.png"
    written = list(saved(paths, sheet, images, [recipe] * 3, fit=fit))
    assert written == [paths[0], paths[2], sheet]
    assert not paths[1].exists()
    assert lines == [f"{paths[1]} is not written: sc finds concept 1 0.500 over its limit"]
    assert list(saved(paths[:1], sheet, images[1:2], [recipe], fit=fit)) == []
    assert (
        list(saved(paths[:1], None, images[1:2], [recipe], fit=only_fit(None, print))) == paths[:1]
    )
