"""PNG files and the settings they carry."""

import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from jaxsd.images import (
    GAP,
    WEBUI_SAMPLERS,
    Recipe,
    contact_sheet,
    decoded,
    parameters_text,
    parse_parameters,
    png_bytes,
    read_image,
    read_recipe,
    read_text,
    webp_bytes,
    write_png,
)
from jaxsd.schedulers import SAMPLERS

RECIPE = Recipe(
    prompt="a red apple",
    negative_prompt="blurry",
    steps=20,
    sampler="dpm++_2m_karras",
    guidance_scale=7.5,
    seed=42,
    width=24,
    height=16,
    model="models/some, model: v2.safetensors",
    dtype="bfloat16",
    version="0.1.0",
    model_hash="6ce0161689",
)
PROMPTS = [
    "plain",
    "commas, colons: and, \"quotes\" 'too'",
    "line one\nline two\n\nline four",
    "caf\u00e9 \u732b \u0434\u043e\u043c \U0001f600\u200d\U0001f525",
    "Steps: 3, Sampler: none, Seed: 1",
    "back\\slash \\n \\u0041 {json: [1, 2]}",
    " leading and trailing ",
    "<lora:x:0.8> (word:1.2) [a|b]",
    "",
]


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)


def test_pixels_survive(tmp_path, image):
    write_png(tmp_path / "a.png", image, RECIPE)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("negative", ["", "ugly, blurry: \u732b\nNegative prompt: again"])
def test_a_recipe_survives_whatever_the_prompt(tmp_path, image, prompt, negative):
    recipe = replace(RECIPE, prompt=prompt, negative_prompt=negative)
    write_png(tmp_path / "a.png", image, recipe)
    assert read_recipe(tmp_path / "a.png") == recipe
    parts = parse_parameters(read_text(tmp_path / "a.png")["parameters"])
    assert parts["Prompt"] == prompt
    assert parts["Negative prompt"] == negative
    assert parts["Seed"] == "42"


def test_a_prompt_with_a_negative_prompt_in_it_needs_the_json(tmp_path, image):
    recipe = replace(RECIPE, prompt="a\nNegative prompt: b", negative_prompt="c")
    write_png(tmp_path / "a.png", image, recipe)
    assert read_recipe(tmp_path / "a.png") == recipe


def test_parameters_are_those_of_webui():
    assert parameters_text(RECIPE) == (
        "a red apple\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 42, "
        "Size: 24x16, Model hash: 6ce0161689, Model: some model v2, RNG: jaxsd, "
        "Version: jaxsd 0.1.0"
    )


def test_parameters_leave_out_what_is_not_known():
    text = parameters_text(replace(RECIPE, negative_prompt="", model_hash="", model="emoji"))
    assert "Negative" not in text
    assert "hash" not in text
    assert parse_parameters(text)["Model"] == "emoji"


def test_parameters_are_read_by_the_grammar_of_webui():
    # Written from the description of webui's reader: the last line, pairs, quoted values.
    pair = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
    version = 'a, b: "c"'
    last = parameters_text(replace(RECIPE, version=version)).split("\n")[-1]
    found = dict(pair.findall(last))
    assert len(found) == 10
    assert json.loads(found["Version"]) == f"jaxsd {version}"
    assert found["Size"] == "24x16"


def test_every_sampler_has_its_name_in_webui():
    assert set(WEBUI_SAMPLERS) == set(SAMPLERS)


def test_chunks_are_those_that_readers_look_for(tmp_path, image):
    (tmp_path / "a.png").write_bytes(png_bytes(image, replace(RECIPE, prompt="\u732b")))
    assert set(read_text(tmp_path / "a.png")) == {"parameters", "jaxsd"}
    (tmp_path / "b.png").write_bytes(png_bytes(image))
    assert read_text(tmp_path / "b.png") == {}


def test_webp_keeps_pixels_and_recipe(image):
    recipe = replace(RECIPE, prompt='\u732b, "quoted"')
    packed = webp_bytes(image, recipe)
    np.testing.assert_array_equal(decoded([packed, packed]), [image, image])
    with Image.open(io.BytesIO(packed)) as opened:
        exif = opened.getexif()
    assert Recipe(**json.loads(exif[ExifTags.Base.ImageDescription])) == recipe
    comment = exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert comment.removeprefix(b"UNICODE\0").decode("utf-16-be") == parameters_text(recipe)


def test_pictures_of_others_have_no_recipe(tmp_path, image):
    Image.fromarray(image).save(tmp_path / "a.jpg")
    write_png(tmp_path / "b.png", image)
    for name in ("a.jpg", "b.png"):
        with pytest.raises(ValueError, match="carries no settings of jaxsd"):
            read_recipe(tmp_path / name)


def test_a_failed_write_leaves_what_was_there(tmp_path, image, monkeypatch):
    write_png(tmp_path / "a.png", image, RECIPE)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_png(tmp_path / "a.png", 255 - image, RECIPE)
    assert os.listdir(tmp_path) == ["a.png"]
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)


@pytest.mark.parametrize(
    ("count", "columns", "grid"), [(1, None, (1, 1)), (5, None, (2, 3)), (5, 4, (2, 4))]
)
def test_a_contact_sheet_holds_every_picture_in_order(count, columns, grid):
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 6, 10, 3), np.uint8
    )
    sheet = contact_sheet(images, columns)
    assert sheet.shape == (grid[0] * (6 + GAP) + GAP, grid[1] * (10 + GAP) + GAP, 3)
    centres = sheet[GAP + 3 :: 6 + GAP, GAP + 5 :: 10 + GAP, 0].ravel()
    assert centres.tolist() == [*range(count), *[255] * (grid[0] * grid[1] - count)]


def test_grey_and_transparent_files_are_read_as_colour(tmp_path):
    Image.new("L", (5, 4), 9).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").tolist() == [[[9, 9, 9]] * 5] * 4


@pytest.mark.parametrize(
    ("kind", "place", "new"),
    [
        ("BMP", 18, b"\xff\xff\xff\x00" * 2),  # sides: a DecompressionBombError
        ("PNG", 33, b"\0\0\0\1"),  # how long the pixels are: a SyntaxError at their end
    ],
)
def test_damage_is_an_os_error_whatever_pillow_calls_it(kind: str, place: int, new: bytes) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, kind)
    packed = bytearray(buffer.getvalue())
    packed[place : place + len(new)] = new
    with pytest.raises(OSError, match="no picture: "):
        read_image(io.BytesIO(bytes(packed)))
