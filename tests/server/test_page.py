import base64
import json
import re
from pathlib import Path

import httpx
import numpy as np
import pytest
from emoji import concepts
from emoji.words import COLOURS, STYLES
from tiny_models import TINY

from jaxsd.images import png_bytes
from jaxsd.server.page_routes import FILES, FOLDER
from jaxsd.server.restoring import told_in
from jaxsd.settings import Recipe, Settings, checked
from jaxsd.settings.adapters import Lora
from jaxsd.webui import texts_of

PICTURES = Path(__file__).parents[1] / "data/pictures"
MOST_BYTES = 400_000
LANGUAGES = ("en", "zh")


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url) as client:
        yield client


def read(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def scripts():
    return {name: read(name) for name in FILES if name.endswith(".js")}


def test_the_page_is_small_whole_and_asks_nobody_else(client):
    answers = [client.get("/"), *(client.get(f"/page/{name}") for name in FILES)]
    assert {one.status_code for one in answers} == {200}
    assert client.get("/page/..%2fapp.py").status_code == 404
    assert sum(len(one.content) for one in answers[1:]) < MOST_BYTES
    policy = answers[0].headers["content-security-policy"]
    assert "default-src 'self'" in policy
    text = "".join(one.text for one in answers)
    assert not re.search(r"https?://", text)
    # What the policy would not run, and what would put a prompt in as HTML.
    assert not re.search(r"<script>|style=|onclick=\"|innerHTML|eval\(", text)
    imported = re.findall(r'from "\./(.*?)"', text)
    assert set(imported) <= set(FILES)


def test_both_languages_say_everything_that_the_page_asks_for():
    texts = [json.loads(read(f"{language}.json")) for language in LANGUAGES]
    assert texts[0].keys() == texts[1].keys()
    assert all(text for table in texts for text in table.values())
    holes = [[sorted(re.findall(r"{\w+}", text)) for text in table.values()] for table in texts]
    assert holes[0] == holes[1]
    page, code = read("index.html"), "".join(scripts().values())
    asked = set(re.findall(r'data-(?:text|label|placeholder)="(.*?)"', page))
    asked |= set(re.findall(r'\b(?:t|button|labelled|says\("\w+",) ?\(?"([\w.]+)"', code))
    asked |= set(re.findall(r'data: {[^}]*label: "([\w.]+)"', code))
    assert len(asked) > 90
    assert asked <= texts[0].keys(), asked - texts[0].keys()
    # Keys that are put together, such as `option.${name}`, begin with a word of these.
    families = {key.partition(".")[0] for key in re.findall(r"`(\w+\.)\$", code)}
    families |= {"align", "brush", "eraser", "font", "kind", "option", "pattern", "shape"}
    unused = {
        key
        for key in texts[0].keys() - asked
        if key.partition(".")[0] not in families and f'"{key}"' not in code
    }
    assert not unused


def test_every_choice_of_the_editor_has_a_name():
    texts = json.loads(read("en.json"))
    code = scripts()
    for kind, pattern, file in (
        ("pattern", r"PATTERNS = {(.*?)}", "backgrounds.js"),
        ("template", r"TEMPLATES = {(.*?)}", "templates.js"),
    ):
        names = re.search(pattern, code[file], re.DOTALL)[1].replace(" ", "").split(",")
        assert {f"{kind}.{name}" for name in names if name} <= texts.keys()
    assert set(re.findall(r"^  (\w+): \[\"#", code["templates.js"], re.MULTILINE)) == {
        key.partition(".")[2] for key in texts if key.startswith("palette.")
    }
    inspector = code["inspector.js"]
    values = set(re.findall(r'\["(\w+)"[,\]]', inspector))
    assert {f"layer.{name}" for name in values - {"colours", "left"}} <= texts.keys()


def test_the_builder_offers_what_the_built_in_model_knows():
    words = json.loads(read("words.json"))
    texts = json.loads(read("en.json"))
    for table in words.values():
        assert table["forms"].keys() == table["groups"].keys()
        assert {f"builder.{group}" for group in table["groups"]} <= texts.keys()
    known = words["emoji"]["groups"]
    rows = (*concepts._NAMED, *concepts._MORE)  # as concepts() has them, without inflect's seconds
    assert set(known["subject"]) <= {phrase for row in rows for phrase in row[2:]}
    assert set(known["style"]) == {f"{style} style" for style in STYLES[1:]}
    colours = {re.fullmatch(r"an? (.*) background", word)[1] for word in known["colour"]}
    assert colours == set(COLOURS)


def test_what_can_be_chosen(client):
    offers = client.get("/page-offers").json()
    size = {"name": "tiny", "built_in": None, "controls": ["edges"], "refiners": ["fine"]}
    assert size.items() <= offers["models"][0].items()
    assert offers["loras"] == []


def test_settings_come_back_out_of_a_picture(client):
    asked = {"prompt": 'a, b: "c"', "size": "64x64", "steps": 3, "sampler": "euler", "seed": 4}
    made = client.post("/v1/images/generations", json=asked).json()["data"][0]["b64_json"]
    told = client.post("/jaxsd/v1/settings", json={"image": made}).json()["settings"]
    assert (told["prompt"], told["steps"], told["seed"]) == ('a, b: "c"', 3, 4)
    assert told["freeu"] == list(Settings().freeu)
    again = client.post("/jaxsd/v1/jobs", json=told)
    assert again.status_code == 202, again.text
    plain = base64.b64encode(b"GIF89a").decode()
    assert client.post("/jaxsd/v1/settings", json={"image": plain}).status_code == 422


def test_what_can_not_be_given_again_is_named():
    folder = ("/there",)
    given = {"image": "a.png", "lora": (Lora("b.safetensors"),), "lora_folder": folder, "steps": 3}
    made = checked(Settings(**given), TINY["sd1"])
    recipe = Recipe(made, model="emoji", dtype="float32", version="1")
    packed = png_bytes(np.zeros((8, 8, 3), np.uint8), texts_of(recipe))
    told = told_in(packed, Settings(lora_folder=folder))
    assert told["left"] == ["image", "lora"]
    assert told["settings"]["steps"] == 3
    assert not {"image", "lora"} & told["settings"].keys()


@pytest.mark.parametrize(
    ("name", "by", "expected"),
    [
        ("webui.png", "webui", {"sampler": "unipc", "steps": 15, "width": 512, "height": 400}),
        ("swarmui.jpg", "SwarmUI", {"sampler": "euler_a_karras", "seed": 697543491}),
    ],
)
def test_settings_come_out_of_pictures_of_other_programs(client, name, by, expected):
    sent = base64.b64encode((PICTURES / name).read_bytes()).decode()
    told = client.post("/jaxsd/v1/settings", json={"image": sent}).json()
    assert told["made_by"].startswith(by)
    assert expected.items() <= told["settings"].items()
    assert "freeu" not in told["settings"]  # of which the picture says nothing
