"""What made a picture: real files of many programs, and the forms that have no small real file."""

import gzip
import io
import json
import random
import time
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jaxsd.images import picture_texts, png_bytes, webp_bytes
from jaxsd.images.xmp import xmp_texts
from jaxsd.metadata import Made, expressed, made_of, prompt_of, read_made
from jaxsd.settings import Recipe, Settings
from jaxsd.webui import texts_of

PICTURES, GRAPHS = (Path(__file__).parents[1] / "data" / name for name in ("pictures", "comfy"))
DREAM = "professional full body photo of young woman, hyper long brunette hair"
MIKU = "1girl, solo, hatsune miku"
REAL = {
    # file: program, a part of the prompt, of the negative prompt, the seed, number of settings
    "webui.png": ("webui, or a program that writes", "photo of a duck", "mono", 235284042, 7),
    "webui_itxt.png": ("webui v1.10.1", f"{MIKU}, \u30c6\u30b9\u30c8", "censor,", 3782896554, 9),
    "webui.jpg": ("webui v1.10.1", f"{MIKU}, \u30c6\u30b9\u30c8", "censor,", 3623174757, 9),
    "webui_stealth.png": ("webui v1.9.4-169", "a circle", "a square", 2015833630, 10),
    "civitai.jpg": ("Civitai", f"{MIKU}, #\u30c6\u30b9\u30c8", "censor,", 1311178179, 9),
    "sdcpp_utf8.png": ("stable-diffusion.cpp", "a lovely cat", "\u8272\u8c03\u8273", 42, 12),
    "sdcpp_json.png": ("stable-diffusion.cpp", "says 'krea2.cpp'", "", 42, 13),
    "comfyui.png": ("ComfyUI", "victorian woman with wings", "watermark", 280823642470253, 7),
    "swarmui.jpg": ("SwarmUI 0.9.7.4", f"{MIKU}, #\u30c6\u30b9\u30c8", "censor,", 697543491, 9),
    "ruined_fooocus.png": ("RuinedFooocus", f"{MIKU}, #\u30c6", "censor,", 2020047614, 11),
    "invokeai_dream.png": ("InvokeAI", DREAM, "rendering, glowing", 2980747362, 5),
    "invokeai_2.png": ("InvokeAI 2.3.0", DREAM, "rendering, glowing", 2980747362, 13),
    "novelai.png": ("NovelAI", "cat, space, icon", "lowres", 2253955223, 7),
}


def test_all_real_pictures_are_listed() -> None:
    assert sorted(path.name for path in PICTURES.iterdir()) == sorted(REAL)


@pytest.mark.parametrize("name", REAL)
def test_real_pictures(name: str) -> None:
    program, prompt, negative, seed, count = REAL[name]
    made = read_made(PICTURES / name)
    assert made.program.startswith(program)
    assert prompt in made.prompt
    assert "Steps: " not in made.prompt
    assert negative in made.negative_prompt
    assert (made.settings["Seed"], len(made.settings)) == (str(seed), count)
    assert made.settings["Steps"].isdigit()


SETTINGS = "Steps: 20, Sampler: Euler, Seed: 1"


@pytest.mark.parametrize(
    ("texts", "want"),
    [
        (f"a\nNegative prompt: b\n{SETTINGS}\n", ("a", "b", {})),
        (f"a\nNegative prompt: b\r\n{SETTINGS}\r\n", ("a", "b", {})),
        (f"a\n Negative prompt: b\n{SETTINGS}", ("a", "b", {})),
        (f"a\nNegative prompt:b\n{SETTINGS}", ("a", "b", {})),
        (
            f"a\nNegative prompt: b\n{SETTINGS}\nTemplate: {{a|c}}\n2\nNegative Template: d",
            ("a", "b", {"Template": "{a|c}\n2", "Negative Template": "d"}),
        ),
        (
            f'Steps: 3 of a stair\n{SETTINGS}, Lora hashes: "x: 1, y: 2", Size: 8x8',
            ("Steps: 3 of a stair", "", {"Lora hashes": "x: 1, y: 2", "Size": "8x8"}),
        ),
        (
            f'a\n{SETTINGS}, Hashes: {{"model": "x, Size: 9x9"}}, Size: 8x8',
            ("a", "", {"Hashes": '{"model": "x, Size: 9x9"}', "Size": "8x8"}),
        ),
        (f'a\n{SETTINGS}, Note: "open, Size: 8x8', ("a", "", {"Note": '"open', "Size": "8x8"})),
    ],
)
def test_webui_text_of_many_hands(texts: str, want: tuple[str, str, dict[str, str]]) -> None:
    made = made_of({"parameters": texts})
    seen = {"Steps": "20", "Sampler": "Euler", "Seed": "1"}
    assert (made.prompt, made.negative_prompt, made.settings) == (*want[:2], seen | want[2])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("parameters", f"a\n{SETTINGS}" + ', b: ["c' * 30_000),
        ("parameters", f"a\n{SETTINGS}, b: " + "[" * 300_000),
        ("parameters", f"a\n{SETTINGS}\nTemplate: a" + "\nb" * 150_000),
        ("parameters", " " * 300_000 + f"\n{SETTINGS}"),
        ("parameters", "\n" * 3_000_000 + SETTINGS),
        ("parameters", f"a\n{SETTINGS}, " + 'b: "c", ' * 300_000 + "," * 2_000_000),
        ("Dream", '"' + " " * 300_000 + "[" * 300_000 + '" -s 3'),
    ],
)
def test_hostile_texts_take_no_time(name: str, text: str) -> None:
    started = time.process_time()
    assert made_of({name: text}) is not None
    assert time.process_time() - started < 1


@pytest.mark.parametrize("value", ['"', '"a"b"', '"\\x"', "[1", "{", '"a" b'])
def test_broken_values_are_taken_as_they_stand(value: str) -> None:
    made = made_of({"parameters": f"a\n{SETTINGS}, Note: {value}, Size: 8x8"})
    assert made.settings["Size"] == "8x8"
    assert made.settings["Note"] == value


ODD = (None, True, -1, 1e308, float("nan"), "", [], {}, ["4", 0], [["4", 0]], {"a": 1}, "x")


def changed(value: object, rng: random.Random) -> object:
    """A JSON value in which one value is another."""
    if not value or not isinstance(value, dict | list) or rng.random() < 0.1:
        return rng.choice(ODD)
    places = list(value) if isinstance(value, dict) else range(len(value))
    place, copy = rng.choice(places), value.copy()
    copy[place] = changed(value[place], rng)
    return copy


def test_changed_tables_give_texts_or_nothing() -> None:
    rng = random.Random(0)
    known = [picture_texts(path) for path in PICTURES.iterdir()]
    known += [{"prompt": path.read_text()} for path in GRAPHS.glob("*.api.json")]
    known += [{"workflow": path.read_text()} for path in GRAPHS.glob("*.ui.json")]
    tables = [(name, text) for texts in known for name, text in texts.items() if text[0] == "{"]
    for _ in range(1000):
        name, text = rng.choice(tables)
        table = changed(changed(json.loads(text), rng), rng)
        made = made_of({name: json.dumps(table), "Software": "NovelAI"})
        for one in (made.program, made.prompt, made.negative_prompt, *made.settings.values()):
            assert one is None or isinstance(one, str)


FOOOCUS = {
    "prompt": "a",
    "negative_prompt": "b",
    "steps": 30,
    "guidance_scale": 4.0,
    "version": "Fooocus v2.5.5",
}
SPACE = {"prompt": "a", "negative_prompt": "b", "num_inference_steps": 28, "guidance_scale": 7.0}
INVOKE = {
    "positive_prompt": "a",
    "negative_prompt": "b",
    "scheduler": "ddim",
    "steps": 9,
    "model": {"model_name": "m"},
    "app_version": "3.3.0",
}
NOVELAI = {"Software": "NovelAI", "Description": "a", "Comment": '{"uc": "b", "steps": 28}'}


@pytest.mark.parametrize(
    ("texts", "program", "setting"),
    [
        ({"parameters": json.dumps(FOOOCUS)}, "Fooocus v2.5.5", ("CFG scale", "4")),
        ({"parameters": json.dumps(SPACE)}, "diffusers", ("Steps", "28")),
        ({"invokeai_metadata": json.dumps(INVOKE)}, "InvokeAI 3.3.0", ("Model", "m")),
        (NOVELAI, "NovelAI", ("Steps", "28")),
        (
            {
                "prompt": "a",
                "negative_prompt": "b",
                "use_stable_diffusion_model": "m",
                "num_inference_steps": "25",
            },
            "Easy Diffusion",
            ("Model", "m"),
        ),
    ],
)
def test_tables(texts: dict[str, str], program: str, setting: tuple[str, str]) -> None:
    made = made_of(texts)
    assert made.program.startswith(program)
    assert (made.prompt, made.negative_prompt) == ("a", "b")
    assert setting in made.settings.items()


@pytest.mark.parametrize(
    "text",
    [
        "a poem about steps",
        "Steps: to the sea",
        '{"prompt": "a"',
        "[" * 100_000,
        '{"a": ' * 100_000,
        "",
        '{"sui_image_params": 3}',
        '{"1": {"class_type": "KSampler", "inputs": 3}}',
    ],
)
def test_what_is_not_known_gives_no_prompt(text: str) -> None:
    for name in ("parameters", "prompt", "workflow", "sd-metadata", "Dream", "jaxsd", "Comment"):
        made = made_of({name: text, "Software": "other"})
        assert made is None or (made.prompt is None and made.program.startswith("not known"))


def test_tables_of_unknown_programs_are_named() -> None:
    made = made_of({"parameters": '{"text": "a", "strokes": 3}'})
    assert (made.program, made.prompt) == ("not known; a table with text, strokes", None)


@pytest.mark.parametrize("packed", [png_bytes, webp_bytes])
def test_our_own_pictures(packed: object) -> None:
    prompt = "caf\u00e9\nNegative prompt: c"
    numbers = {"steps": 3, "seed": 2**31, "guidance_scale": 7.5, "width": 8, "height": 8}
    settings = Settings(prompt, "b", sampler="ddim", **numbers)
    texts = texts_of(Recipe(settings, model="emoji", dtype="float32", version="9"))
    picture = packed(np.zeros((8, 8, 3), np.uint8), texts)
    made = read_made(picture)
    assert (made.program, made.prompt, made.negative_prompt) == ("jaxsd 9", prompt, "b")
    assert (made.settings["sampler"], made.settings["Seed"]) == ("ddim", str(2**31))
    del texts["jaxsd"]
    texts["parameters"] = texts["parameters"].replace("\nNegative prompt: c", "")
    assert prompt_of(packed(np.zeros((8, 8, 3), np.uint8), texts)) == "caf\u00e9"


def hidden(text: str, kind: str = "pnginfo", height: int = 40) -> bytes:
    """A PNG with a text in its pixels, written from the description of the format."""
    content = gzip.compress(text.encode()) if kind.endswith("comp") else text.encode()
    bits = "".join(
        f"{byte:08b}"
        for byte in f"stealth_{kind}".encode() + (8 * len(content)).to_bytes(4, "big") + content
    )
    bands = [0, 1, 2] if kind.startswith("rgb") else [3]
    width = -(-len(bits) // (height * len(bands)))
    pixels = np.full((height, width, 4), 254, np.uint8)
    for place, bit in enumerate(bits):
        pixel, band = divmod(place, len(bands))
        pixels[pixel % height, pixel // height, bands[band]] |= int(bit)
    buffer = io.BytesIO()
    Image.fromarray(pixels if bands == [3] else pixels[..., :3]).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["pnginfo", "pngcomp", "rgbinfo", "rgbcomp"])
def test_hidden_texts(kind: str) -> None:
    assert prompt_of(hidden(f"a cat\n{SETTINGS}", kind)) == "a cat"
    assert read_made(hidden(json.dumps(NOVELAI), kind)).program == "NovelAI"
    assert read_made(hidden("nothing of note", kind)) is None
    cut = hidden("\0" * 3000, kind, height=8)  # of which the end is missing
    with Image.open(io.BytesIO(cut)) as image:
        buffer = io.BytesIO()
        image.crop((0, 0, 8, 8)).save(buffer, "PNG")
    assert read_made(buffer.getvalue()) is None


DRAW_THINGS = {
    "c": 'a "red" <fox>',
    "uc": "b",
    "steps": 30,
    "sampler": "DPM++ 2M Karras",
    "scale": 7.5,
    "seed": 42,
    "size": "1024x768",
    "model": "m.ckpt",
    "strength": 1,
    "seed_mode": "Scale Alike",
}


def xmp(comment: str) -> str:
    """XMP as Apple's programs write it."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 6.0.0">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Draw Things">'
        '<exif:UserComment><rdf:Alt><rdf:li xml:lang="x-default">'
        f"{escape(comment)}</rdf:li></rdf:Alt></exif:UserComment>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def with_xmp(kind: str, text: str) -> bytes:
    buffer, image = io.BytesIO(), Image.new("RGB", (8, 8))
    chunks = PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", text)
    image.save(buffer, kind, **({"pnginfo": chunks} if kind == "PNG" else {"xmp": text.encode()}))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_draw_things(kind: str) -> None:
    made = read_made(with_xmp(kind, xmp(json.dumps(DRAW_THINGS))))
    assert (made.program, *made[1:3]) == ("Draw Things", 'a "red" <fox>', "b")
    assert made.settings.items() >= {
        ("CFG scale", "7.5"),
        ("Size", "1024x768"),
        ("Sampler", "DPM++ 2M Karras"),
    }
    values, left = expressed(made)
    assert (values["sampler"], values["size"]) == ("dpm++_2m_karras", "1024x768")
    assert left == ("seed_mode Scale Alike",)
    assert read_made(with_xmp(kind, xmp("{}"))) == Made("Draw Things")


def test_hostile_xmp_is_no_text() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + xmp("&b;")
    deep = xmp("x").replace("<rdf:li", "<rdf:Description><exif:UserComment>" * 9_000 + "<rdf:li")
    deep = deep.replace("</rdf:li>", "</rdf:li>" + "</exif:UserComment></rdf:Description>" * 9_000)
    started = time.process_time()
    assert xmp_texts(deep)["UserComment"] == "x"
    for text in (bomb, "<a>" * 300_000, "<", "", xmp("x") + "</a>", " " * 2**21 + xmp("x") * 2):
        assert xmp_texts(text) == {}
    assert time.process_time() - started < 1


JOB = "Job ID: a7421d2f-b262-44f9-977c-ac23e9c7d3e3"


@pytest.mark.parametrize(
    ("said", "prompt", "negative", "settings"),
    [
        ("example --ar 2:1 --stylize 80 --v 6", "example", "", {"ar": "2:1", "v": "6"}),
        ("a -- b --no fog, rain --seed 7 --tile", "a -- b", "fog, rain", {"tile": "true"}),
        ("--v 5", "", "", {"v": "5"}),
        ("two\nlines", "two\nlines", "", {}),
    ],
)
def test_midjourney(said: str, prompt: str, negative: str, settings: dict[str, str]) -> None:
    made = made_of({"Description": f"{said} {JOB}", "Author": "somebody"})
    assert made[:3] == ("Midjourney", prompt, negative)
    known = settings | {"Author": "somebody", "Job ID": JOB[8:]}
    assert made.settings.items() >= known.items()
    assert made_of({"Description": f"{said} Job ID: 7"}) is None
