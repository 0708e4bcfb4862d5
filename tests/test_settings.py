"""Contracts over the table of options, and buckets: what may share a program."""

import itertools
import json
import math
import shlex
from collections import defaultdict
from dataclasses import Field, fields, replace
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import jax
import numpy as np
import pytest
from tiny_models import TINY
from tiny_pipelines import LetterTokenizer

from jaxsd.canvases import Pictures, canvas_of
from jaxsd.config import ModelSpec
from jaxsd.pipeline.order import check_alike, given_arrays, runs_of
from jaxsd.settings import (
    OPTIONS,
    Bucket,
    Control,
    Embedding,
    ImagePrompt,
    Lora,
    Recipe,
    Region,
    Settings,
    bucket_of,
    checked,
    is_guided,
    scale_of,
    settings_from,
)
from jaxsd.webui import as_json, recipe_from

SPEC = TINY["sd1"]
every_option = pytest.mark.parametrize("name", OPTIONS)


def kind_of(option: Field) -> Any:
    """The type, without None."""
    kinds = get_args(option.type) if isinstance(option.type, UnionType) else (option.type,)
    return next(kind for kind in kinds if kind is not NoneType)


def shaped(option: Field, number: Any) -> Any:
    """A number as the option has it: alone, or in a list of the right length."""
    if get_origin(kind_of(option)) is not tuple:
        return number
    return (*option.default[:-1], number)


def refused(name: str, value: Any) -> str:
    """What `checked` says to a value."""
    with pytest.raises(ValueError, match=name) as error:
        checked(replace(Settings(), **{name: value}), SPEC)
    message = str(error.value)
    assert "\n" not in message
    return message


@every_option
def test_an_option_says_what_it_is(name: str) -> None:
    said = OPTIONS[name].metadata
    assert said["help"]
    assert "\n" not in said["help"]
    assert said["words"] == () or OPTIONS[name].default in said["words"]
    assert (said["high"] is None) or (said["low"] is not None), "a range begins somewhere"


def test_every_field_is_an_option_and_a_number_has_a_range() -> None:
    assert [field.name for field in fields(Settings)] == list(OPTIONS)
    without = {
        name
        for name, option in OPTIONS.items()
        if {kind_of(option), *get_args(kind_of(option))} & {int, float}
        and option.metadata["low"] is None
    }
    assert without == set()


@pytest.mark.parametrize("family", TINY)
def test_defaults_are_allowed_and_nothing_stays_open(family: str) -> None:
    filled = checked(Settings(), TINY[family])
    assert [name for name in OPTIONS if getattr(filled, name) is None] == []
    assert checked(filled, TINY[family]) == filled


RANGES = {name: option for name, option in OPTIONS.items() if option.metadata["low"] is not None}


@pytest.mark.parametrize("name", RANGES)
def test_below_the_least(name: str) -> None:
    low, high = RANGES[name].metadata["low"], RANGES[name].metadata["high"]
    message = refused(name, shaped(RANGES[name], low - 1))
    assert f"{name} {low - 1}" in message
    assert (f"at least {low}" if high is None else f"{low} to {high}") in message


HIGHS = {name: option for name, option in RANGES.items() if option.metadata["high"] is not None}


@pytest.mark.parametrize("name", HIGHS)
def test_above_the_largest(name: str) -> None:
    low, high = HIGHS[name].metadata["low"], HIGHS[name].metadata["high"]
    message = refused(name, shaped(HIGHS[name], high + 1))
    assert f"{name} {high + 1}" in message
    assert f"{low} to {high}" in message


@pytest.mark.parametrize("name", [n for n, o in OPTIONS.items() if o.metadata["words"]])
def test_another_word(name: str) -> None:
    message = refused(name, "nothing of this")
    assert "'nothing of this'" in message
    assert all(word in message for word in OPTIONS[name].metadata["words"])


@pytest.mark.parametrize(
    "name", [n for n, o in OPTIONS.items() if isinstance(o.metadata["metavar"], tuple)]
)
def test_too_few_values_of_a_list(name: str) -> None:
    message = refused(name, OPTIONS[name].default[:-1])
    assert " ".join(OPTIONS[name].metadata["metavar"]) in message


WRONG = {int: [1.5, True, "x", [1]], float: [True, "x", 1j], bool: [2, "maybe"], str: [3, None]}
SAYS = {int: ("int",), float: ("float",), bool: ("bool", "true, false"), str: ("str",)}


@every_option
def test_another_type(name: str) -> None:
    kind = kind_of(OPTIONS[name])
    if get_origin(kind) is tuple:
        assert "list" in refused(name, 3)
        assert "3.5j" in refused(name, shaped(OPTIONS[name], 3.5j) or (3.5j,))
        return
    for value in [one for one in WRONG[kind] if one is not None or kind is OPTIONS[name].type]:
        message = refused(name, value)
        assert repr(value) in message
        assert any(word in message for word in SAYS[kind]), message


NUMBERS = [n for n, o in OPTIONS.items() if {kind_of(o), *get_args(kind_of(o))} & {int, float}]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", NUMBERS)
def test_no_number(name: str, number: float) -> None:
    assert str(number) in refused(name, shaped(OPTIONS[name], number))


def test_an_image_prompt_is_checked() -> None:
    for wrong in (
        "a.png",
        "a.png:b:1:2",
        "a.png:b:left=1",
        "a.png:b:up=much",
        "a.png:b:up=1,down.2=1e9",
        ImagePrompt("", "b", weight=math.nan),
    ):
        assert "ip_adapter" in refused("ip_adapter", (wrong,))
    text = "a.png:b:up.0.1=1,mid=0.5:0.0:0.5"
    assert str(ImagePrompt.parse(text)) == text
    prompt = ImagePrompt.parse(text)
    assert prompt.by_block == {"up.0.1": 1.0, "mid": 0.5}
    stages = "down_blocks_1/attentions_0", "mid_block/attentions_0", "up_blocks_0/attentions_1"
    paths = [
        f"{stage}/transformer_blocks_0/attn2" for stage in (*stages, "up_blocks_0/attentions_10")
    ]
    assert prompt.weights_of(paths) == [0.0, 0.5, 1.0, 0.0]
    assert replace(prompt, blocks="up=3,up.0.1=1").weights_of(paths) == [0.0, 0.0, 1.0, 3.0]
    assert replace(prompt, blocks="").weights_of(paths) == [1.0] * 4
    with pytest.raises(ValueError, match=r"up.1=1: .*it has down.1.0, mid, up.0.1, up.0.10"):
        replace(prompt, blocks="up.1=1").weights_of(paths)


@pytest.mark.parametrize(
    "control",
    [
        Control("", "canny", weight=math.nan),
        Control("", "canny", weight="1"),
        Control("", "canny", weight=-1e39),
        Control("", "canny", first=0.6, last=0.5),
        Control("", "canny", first=-0.1),
        Control("", "canny", last=math.inf),
        Control("", 3),
        "edges.png",
        "edges.png:canny:1:2",
        "edges.png:canny:much",
        {"image": "edges.png"},
    ],
)
def test_a_control_is_checked(control: Any) -> None:
    refused("control", (control,))


VALUES: dict[str, list[Any]] = {
    "prompt": ["a cat, drawn", "", 'a "quoted" cät\n', "7"],
    "seed": [0, 2**32 - 1],
    "sampler": ["dpm++_2m_karras"],
    "sampler_options": [("eta=0.5", "spacing=trailing"), ()],
    "control": [
        (Control("my edges.png", "canny", 0.123456789, 0.1, 0.7), Control("b.png", "depth")),
        (),
    ],
    "ip_adapter": [(ImagePrompt("my cat.png", "a.safetensors", 0.123456789, 0.1, 0.7),), ()],
    "ip_adapter_mask": [("my left half.png", "b.png"), ()],
    "region": [
        (Region(0.0, 0.25, 0.5, 0.123456789, "a: red, apple", 2.0), Region(text="b")),
        (Region(text="c", strength=0.3, mask="my, mask.png"),),
    ],
    "lora": [(Lora("my style.pt", 0.123456789, -1.5), Lora("b:c.safetensors", 1.0, 1.0)), ()],
    "motion_lora": [(Lora("zoom in.ckpt", 0.8, 0.8),), ()],
    "lora_folder": [("my loras", "b"), ()],
    "embedding": [(Embedding("my toy.pt", "<toy>"), Embedding("b.safetensors")), ()],
    "embedding_folder": [("my words", "b"), ()],
}


def values_of(name: str) -> list[Any]:
    """Values of an option that can be told from others."""
    if name in VALUES:
        return VALUES[name]
    option, kind = OPTIONS[name], kind_of(OPTIONS[name])
    low, high = option.metadata["low"], option.metadata["high"]
    if option.metadata["words"]:
        return list(option.metadata["words"])
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        top = low + 3 if high is None else high
        return [tuple(inner(low + (top - low) / 3 * min(i, 3)) for i in range(len(option.default)))]
    if kind is int:
        return [low, low + 7]
    if kind is float:
        return [float(low), low + 0.1 + 0.2]
    return [True, False] if kind is bool else ["a", "my file.png"]


def text_of(value: Any) -> str:
    """A value as it is written on a command line or in CSV."""
    return shlex.join(map(str, value)) if isinstance(value, tuple) else str(value)


@every_option
def test_a_value_survives_text_and_json(name: str) -> None:
    for value in values_of(name):
        from_text = settings_from({name: text_of(value)})
        assert getattr(from_text, name) == value
        table = json.loads(json.dumps(as_json(Recipe(from_text, "emoji", "float32", "1"))))
        assert settings_from({name: table[name]}) == from_text
        assert recipe_from(table).settings == from_text


@pytest.mark.parametrize(
    ("name", "near"), [("sed", "seed"), ("guidance", "guidance_scale"), ("hight", "height")]
)
def test_an_unknown_option_names_the_three_nearest(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"unknown option '{name}'; nearest are {near}, ") as error:
        settings_from({name: 3})
    assert str(error.value).count(",") == 2


@pytest.mark.parametrize("kind", [np.int64, np.uint32, np.int8])
def test_integers_of_numpy_are_seeds(kind: type) -> None:
    seed = checked(Settings(seed=kind(7)), SPEC).seed
    assert seed == 7
    assert type(seed) is int


def test_size_is_width_and_height() -> None:
    made = settings_from({"size": "48x32"})
    assert (made.width, made.height) == (48, 32)
    assert settings_from({"size": "48x32", "height": "32.0"}) == made
    with pytest.raises(ValueError, match="size 48x32 and height 64 differ; give one of them"):
        settings_from({"size": "48x32", "height": 64})
    for wrong in ("48", "48x", "ax3", (48, 32), "48x32x1"):
        with pytest.raises(ValueError, match="WIDTHxHEIGHT") as error:
            settings_from({"size": wrong})
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("scale", [0, "0", 0.5, 1.0, "1"])
def test_a_scale_up_to_1_is_the_prompt_without_guidance(scale: Any) -> None:
    for family in ("sd1", "lcm"):
        one = checked(settings_from({"guidance_scale": scale}), TINY[family])
        assert one.guidance_scale == float(scale), "the recipe has what was asked for"
        assert scale_of(one) == 1
        assert not is_guided(one, TINY[family])
    assert is_guided(checked(settings_from({"guidance_scale": 1.01}), SPEC), SPEC)


def test_models_that_take_the_scale_as_input_have_their_own() -> None:
    assert checked(Settings(), TINY["lcm"]).guidance_scale == 8.5
    assert checked(Settings(), SPEC).guidance_scale == 7.5


# Buckets.

CHOICES: dict[str, list[Any]] = {
    "prompt": [
        "a cat",
        "a dog",
        "(a:1.2)",
        "[a|b] c",
        "a AND b",
        f"{'word ' * 40}[x]",
        "a BREAK b",
    ],
    "prompt_weights": ["webui", "comfy", "compel", "none"],
    "clip_skip": [None, 2],
    "negative_prompt": ["", "a mouse"],
    "blend_prompt": ["", "a cow", "a cow AND (b:1.1)"],
    "seed": [0, 1],
    "sampler": ["ddim", "euler_a", "heun"],
    "steps": [4, 7],
    "guidance_scale": [1.0, 3.0, 7.5],
    "guidance_interval": [(0.0, 1.0), (0.0, 0.5), (0.01, 0.52), (0.5, 0.5)],
    "guidance_rescale": [0.0, 0.7],
    "mimic_scale": [(0.0, 1.0), (2.0, 1.0)],
    "dynamic_thresholding": [(1.0, 0.0), (0.9, 2.0)],
    "apg": [(1.0, 0.0, 0.0), (0.0, 0.0, 0.0)],
    "pag": [0.0, 2.0],
    "region": [(), (Region(0.0, 0.0, 0.5, 1.0, "b"),)],
    "freeu": [(1.0, 1.0, 1.0, 1.0), (1.3, 1.4, 0.9, 0.2)],
    "reuse": [1, 2, 3],
    "width": [16, 24],
    "height": [16],
    "image": ["", "picture.png"],
    "strength": [0.5, 1.0],
    "mask": ["", "mask.png"],
    "reference": ["", "first.png"],
    "reference_strength": [0.5, 1.0],
    "outpaint": [(0, 0, 0, 0), (8, 0, 0, 0)],
    "lora": [(), (Lora("a.safetensors", 0.5),)],
    "control": [(), (Control("a.png", "canny", 0.5),), (Control("b.png", "canny", 1.0, 0.0, 0.5),)],
}


def random_settings(spec: ModelSpec, count: int) -> list[Settings]:
    """Checked settings; most have little beside their texts, so that buckets are shared."""
    rng = np.random.default_rng(0)
    found = []
    while len(found) < count:
        made = {
            name: values[rng.integers(len(values))] if rng.random() < 0.3 else values[0]
            for name, values in CHOICES.items()
        }
        try:
            found.append(checked(settings_from(made), spec))
        except ValueError:  # such as a mask without a picture
            continue
    return found


def bucket(settings: Settings, spec: ModelSpec = SPEC) -> Bucket:
    return bucket_of(settings, spec, [LetterTokenizer(config) for config in spec.text])


def form_of(spec: ModelSpec, settings: list[Settings]) -> str:
    """What decides about programs: the structure of the arguments and their shapes."""
    tokenizers = [LetterTokenizer(config) for config in spec.text]
    picture, mask = np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8)

    def pictures(one: Settings) -> Pictures:
        image, own_mask = picture if one.image else None, mask if one.mask else None
        reference = picture if one.reference else None
        return Pictures(image, own_mask, (picture,) * len(one.control), reference=reference)

    canvases = [canvas_of(one, pictures(one)) for one in settings]
    arrays = given_arrays(spec, tokenizers, settings, canvases), runs_of(spec, settings)
    leaves, tree = jax.tree.flatten(arrays)
    size = settings[0].drawn_size  # that of the noise
    return f"{size} {tree} {[(leaf.shape, str(leaf.dtype)) for leaf in leaves]}"


@pytest.mark.parametrize("family", ["sd1", "sdxl", "sd1-inpainting", "lcm"])
def test_images_of_one_bucket_share_a_program(family: str) -> None:
    spec = TINY[family]
    buckets = defaultdict(list)
    for one in random_settings(spec, 150):
        buckets[bucket(one, spec)].append(one)
    shared = [images for images in buckets.values() if len(images) > 1]
    assert len(shared) > 3
    assert len(buckets) > 10
    for images in shared:
        check_alike(images)
        form = form_of(spec, images[:1] * 2)
        for pair in itertools.islice(itertools.pairwise(images), 5):
            assert form_of(spec, list(pair)) == form


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 5},
        {"sampler": "heun"},
        {"guidance_scale": 1.0},
        {"guidance_interval": (0.0, 0.5)},
        {"guidance_rescale": 0.7},
        {"apg": (0.0, 0.0, 0.0)},
        {"cfg_zero": 0},
        {"sag": 0.75},
        {"region": (Region(0.0, 0.0, 0.5, 1.0, "b"),)},
        {"reuse": 2},
        {"prompt": "a (b:1.2)"},
        {"prompt": "[a:b:0.5]"},
        {"prompt": "a AND b"},
        {"blend_prompt": "b"},
        {"prompt": "a BREAK b"},
        {"clip_skip": 2},
        {"width": 24},
        {"outpaint": (8, 0, 0, 0)},
        {"image": ""},
        {"mask": "mask.png"},
        {"strength": 0.5},
        {"control": (Control("a.png", "canny"),)},
        {"ip_adapter": (ImagePrompt("a.png", "a.safetensors"),)},
        {
            "ip_adapter": (ImagePrompt("a.png", "a.safetensors"),),
            "ip_adapter_mask": ("left.png",),
        },
        {"image_encoder": "clip"},
        {"reference": "a.png"},
        {"lora": (Lora("a.safetensors", 0.5),)},
        {"embedding": (Embedding("a.pt"),)},
    ],
    ids=str,
)
def test_what_changes_the_program_changes_the_bucket(changes: dict[str, Any]) -> None:
    base = Settings(steps=4, width=16, height=16, guidance_scale=3.0, image="a.png", strength=1.0)
    one, other = checked(base, SPEC), checked(replace(base, **changes), SPEC)
    assert bucket(one) != bucket(other)


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "a dog"},
        {"prompt": "[a:b:4]"},
        {"seed": 7},
        {"sampler": "euler_a"},
        {"sampler_options": ("eta=0.5",)},
        {"guidance_scale": 9.0},
        {"guidance_interval": (0.01, 0.99)},
        {"steps": 8, "strength": 0.5},
        {"mask_blur": 1.0},
        {"composite": False},
        {"preprocessor": "canny"},
        {"reference_strength": 0.9},
        {"sag_sigma": 2.0},
    ],
    ids=str,
)
def test_what_is_an_array_does_not(changes: dict[str, Any]) -> None:
    base = Settings(steps=4, width=16, height=16, guidance_scale=3.0, image="a.png", strength=1.0)
    one, other = checked(base, SPEC), checked(replace(base, **changes), SPEC)
    assert bucket(one) == bucket(other)
