"""The settings that picture files carry."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import ExifTags, Image

from jaxsd.images import decoded, picture_texts, png_bytes, webp_bytes, write_picture
from jaxsd.schedulers import SAMPLERS
from jaxsd.settings import Control, Recipe, Settings
from jaxsd.webui import parameters_text, parse_parameters, read_recipe, texts_of

SETTINGS = Settings(
    prompt="a red apple",
    negative_prompt="blurry",
    steps=20,
    sampler="dpm++_2m_karras",
    guidance_scale=7.5,
    seed=42,
    width=24,
    height=16,
    strength=1.0,
)
RECIPE = Recipe(
    SETTINGS,
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


def made(**settings: object) -> Recipe:
    return replace(RECIPE, settings=replace(SETTINGS, **settings))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("negative", ["", "ugly, blurry: \u732b\nNegative prompt: again"])
def test_a_recipe_survives_whatever_the_prompt(tmp_path, image, prompt, negative):
    recipe = made(prompt=prompt, negative_prompt=negative)
    write_picture(tmp_path / "a.png", image, texts_of(recipe))
    assert read_recipe(tmp_path / "a.png") == recipe
    parts = parse_parameters(picture_texts(tmp_path / "a.png")["parameters"])
    assert parts["Prompt"] == prompt
    assert parts["Negative prompt"] == negative
    assert parts["Seed"] == "42"


def test_a_prompt_with_a_negative_prompt_in_it_needs_the_json(tmp_path, image):
    recipe = made(prompt="a\nNegative prompt: b", negative_prompt="c")
    write_picture(tmp_path / "a.png", image, texts_of(recipe))
    assert read_recipe(tmp_path / "a.png") == recipe


def test_parameters_are_those_of_webui():
    assert parameters_text(RECIPE) == (
        "a red apple\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 42, "
        "Size: 24x16, Model hash: 6ce0161689, Model: some model v2, RNG: jaxsd, "
        "Version: jaxsd 0.1.0"
    )


def test_zero_is_a_value():
    text = parameters_text(made(seed=0, guidance_scale=0.0))
    assert "CFG scale: 0, Seed: 0, Size" in text


def test_parameters_leave_out_what_is_not_known():
    text = parameters_text(replace(made(negative_prompt=""), model_hash="", model="emoji"))
    assert "Negative" not in text
    assert "hash" not in text
    assert parse_parameters(text)["Model"] == "emoji"


def test_lines_may_end_as_windows_ends_them():
    text = parameters_text(made(negative_prompt="grey,\nblurry"))
    assert parse_parameters(text.replace("\n", "\r\n") + "\r\n") == parse_parameters(text)


def test_parameters_are_read_by_the_grammar_of_webui():
    # Written from the description of webui's reader: the last line, pairs, quoted values.
    pair = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
    version = 'a, b: "c"'
    last = parameters_text(replace(RECIPE, version=version)).split("\n")[-1]
    found = dict(pair.findall(last))
    assert len(found) == 10
    assert json.loads(found["Version"]) == f"jaxsd {version}"
    assert found["Size"] == "24x16"


def test_every_sampler_has_its_own_name_in_webui():
    assert len({sampler.webui for sampler in SAMPLERS.values()}) == len(SAMPLERS)


def test_a_recipe_of_pictures_survives(tmp_path, image):
    recipe = replace(
        made(
            image="sketch.png",
            mask="mask.png",
            strength=0.6,
            outpaint=(0, 0, 8, 0),
            control=(Control("edges.png", "canny", 0.5, 0.0, 0.75), Control("a.png", "b")),
        ),
        pictures={"image": "0" * 64},
    )
    write_picture(tmp_path / "a.png", image, texts_of(recipe))
    assert read_recipe(tmp_path / "a.png") == recipe
    parts = parse_parameters(picture_texts(tmp_path / "a.png")["parameters"])
    assert (parts["Denoising strength"], parts["Size"]) == ("0.6", "32x16")


def test_a_recipe_of_a_newer_version_is_refused_by_name(tmp_path, image):
    texts = texts_of(RECIPE)
    texts["jaxsd"] = texts["jaxsd"].replace('"seed"', '"sede"')
    write_picture(tmp_path / "a.png", image, texts)
    with pytest.raises(ValueError, match="unknown key 'sede'; nearest are seed"):
        read_recipe(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ('"batch_size": 0', '"batch_size": "many"', "batch_size is 'many', it must be of type int"),
        ('"model": "', '"model": 7, "dtype": "', "model is 7, it must be of type str"),
        (
            '"reading": {}',
            '"reading": {"output": "/"}',
            "unknown key 'reading.output'; nearest are",
        ),
        (
            '"reading": {}',
            '"reading": {"strict": 3}',
            "reading.strict is 3, it must be of type bool",
        ),
        ('"batch_size": 0', '"settings": {}', "unknown key 'settings'"),
    ],
)
def test_other_fields_of_a_recipe_have_their_types(tmp_path, image, ours, theirs, message):
    texts = texts_of(replace(RECIPE, model="m"))
    texts["jaxsd"] = texts["jaxsd"].replace(ours, theirs)
    if "dtype" in theirs:
        texts["jaxsd"] = texts["jaxsd"].replace('"dtype": "m", "dtype"', '"dtype"')
    write_picture(tmp_path / "a.png", image, texts)
    with pytest.raises(ValueError, match=message):
        read_recipe(tmp_path / "a.png")


def test_a_recipe_without_a_field_is_refused_by_name(tmp_path, image):
    table = json.loads(texts_of(RECIPE)["jaxsd"])
    del table["version"]
    write_picture(tmp_path / "a.png", image, {"jaxsd": json.dumps(table)})
    with pytest.raises(ValueError, match="the key 'version' is missing"):
        read_recipe(tmp_path / "a.png")


@pytest.mark.parametrize("packed", ["{" * 10**5, "[]", "{", '{"a": ' * 10**5])
def test_what_is_no_recipe_is_refused_in_one_line(tmp_path, image, packed):
    write_picture(tmp_path / "a.png", image, {"jaxsd": packed})
    with pytest.raises(ValueError, match="carries settings that this jaxsd does not know"):
        read_recipe(tmp_path / "a.png")


def test_chunks_are_those_that_readers_look_for(tmp_path, image):
    (tmp_path / "a.png").write_bytes(png_bytes(image, texts_of(made(prompt="\u732b"))))
    assert set(picture_texts(tmp_path / "a.png")) == {"parameters", "jaxsd"}
    (tmp_path / "b.png").write_bytes(png_bytes(image))
    assert picture_texts(tmp_path / "b.png") == {}


def test_webp_keeps_pixels_and_recipe(image):
    recipe = made(prompt='\u732b, "quoted"')
    packed = webp_bytes(image, texts_of(recipe))
    np.testing.assert_array_equal(decoded([packed, packed]), [image, image])
    assert read_recipe(io.BytesIO(packed)) == recipe
    with Image.open(io.BytesIO(packed)) as opened:
        exif = opened.getexif()
        kind = opened.info["exif"].partition(b"\x92\x86")[2][:2]
    assert kind == b"\0\x07"  # UNDEFINED, else piexif makes numbers of it
    comment = exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert comment.removeprefix(b"UNICODE\0").decode("utf-16-be") == parameters_text(recipe)


def test_pictures_of_others_have_no_recipe(tmp_path, image):
    Image.fromarray(image).save(tmp_path / "a.jpg")
    write_picture(tmp_path / "b.png", image)
    for name in ("a.jpg", "b.png"):
        with pytest.raises(ValueError, match="carries no settings of jaxsd"):
            read_recipe(tmp_path / name)
