"""Each task of the page once, in Chromium, drawn by the built-in model."""

import io
import shutil
from dataclasses import replace
from importlib.resources import files

import httpx
import numpy as np
import pytest
from browsing import chromium, drag, drop, fill, until
from PIL import Image

import jaxsd
from jaxsd.hints import canny
from jaxsd.server.served import Served, served_recipe
from jaxsd.server.service import PLAIN

pytestmark = pytest.mark.release
pytest.importorskip("playwright.sync_api")
PATIENCE = 600  # seconds for a program to be compiled


@pytest.fixture
def emoji(running, tmp_path):
    from jaxsd.pipeline import with_controlnet
    from jaxsd.server.artist import PipelineArtist

    (tmp_path / "loras").mkdir()
    neon = files("jaxsd") / "assets/emoji_neon.safetensors"
    shutil.copy(str(neon), tmp_path / "loras/neon.safetensors")
    pipe = with_controlnet(jaxsd.load("emoji"), "emoji-edges", "edges")
    recipe, artist = served_recipe("emoji", "float32"), PipelineArtist(pipe, 1)
    model = Served("emoji", pipe.spec, lambda: artist, recipe, ("edges",))
    base = replace(PLAIN, lora_folder=(str(tmp_path / "loras"),))
    return running(models=[model], base=base)


def test_every_task_with_the_built_in_model(emoji, tmp_path):
    count = 0
    with chromium(emoji.url) as browsing:
        page = browsing.page()

        def drawn():
            """The newest picture, after it was asked for."""
            nonlocal count
            page.click("#draw")
            count += 1
            until(page, f"document.querySelectorAll('#gallery img').length === {count}", PATIENCE)
            assert page.text_content("#error") == ""
            place = page.get_attribute("#gallery img", "src")
            packed = httpx.get(emoji.url + place[1:]).content
            (tmp_path / "last.png").write_bytes(packed)
            return np.asarray(Image.open(io.BytesIO(packed)).convert("RGB")).astype(int)

        def task(name):
            page.click(f"#tasks button:text('{name}')")

        # From the builder's words.
        page.click("#builder summary")
        for word in ("a red apple", "a blue background"):
            page.click(f"#builder button:text-is('{word}')")
        assert page.input_value("[name=prompt]") == "a red apple on a blue background"
        fill(page, steps=6, seed=3)
        apple = drawn()
        assert apple.shape == (128, 128, 3)
        # Of that picture: "apple" is red in the middle of blue.
        middle, corner = apple[56:72, 40:88].mean((0, 1)), apple[:8, :8].mean((0, 1))
        assert middle.argmax() == 0
        assert corner.argmax() == 2
        # From a picture: with little strength it stays much as it is.
        page.click("#gallery button")
        page.click("#begin-with")
        fill(page, strength=0.3)
        again = drawn()
        assert 0 < np.abs(again - apple).mean() < 16
        # Painted over: what is not painted is the same to the bit.
        fill(page, strength="", prompt="a cat face on a blue background")
        task("Paint over")
        page.fill("#start input[type=range]", "38")  # pixels
        drag(page, "#start .paint", [(0, 0.85), (1, 0.85)])
        painted = drawn()
        assert np.array_equal(painted[:64], apple[:64])
        assert np.abs(painted[100:120] - apple[100:120]).mean() > 1
        # Grown to the left; the picture is kept beside it.
        task("Grow")
        page.fill("#sides label:nth-child(1) input", "64")
        grown = drawn()
        assert grown.shape == (128, 192, 3)
        assert np.array_equal(grown[:, 96:], apple[:, 32:])
        # A scribble, whose lines the picture has.
        task("ControlNet")
        fill(page, prompt="a house", steps=8)
        house = [(0.25, 0.5), (0.5, 0.2), (0.75, 0.5), (0.75, 0.85), (0.25, 0.85), (0.25, 0.5)]
        drag(page, "#control .paint", house)
        lines = drawn()
        edges = canny(lines.astype(np.uint8))[..., 0] > 0
        rows, columns = np.nonzero(edges)
        assert abs(rows.min() - 0.2 * 128) < 12
        assert abs(rows.max() - 0.85 * 128) < 12
        assert abs(columns.min() - 0.25 * 128) < 12
        assert abs(columns.max() - 0.75 * 128) < 12
        # Twice the same scribble, of half the weight each, adds as much.
        page.click("#add-hint")
        drag(page, ".hint-box:nth-child(2) .paint", house)
        for i in (1, 2):
            page.fill(f".hint-box:nth-child({i}) .row label:nth-child(2) input", "0.5")
        assert np.abs(drawn() - lines).mean() < 2
        # A LoRA.
        task("Text")
        fill(page, prompt="a red apple", steps=6)
        page.click("#loras summary")
        page.click("text=Put into the prompt")
        assert page.input_value("[name=prompt]") == "a red apple <lora:neon:1>"
        neon = drawn()
        assert neon.mean() < apple.mean()  # signs of light on black
        # Its settings, out of the file.
        fill(page, prompt="", seed="")
        drop(page, tmp_path / "last.png")
        page.click("#again")
        assert page.input_value("[name=prompt]") == "a red apple <lora:neon:1>"
        assert page.input_value("[name=seed]") == "3"
        # A grid.
        page.click("#grid summary")
        page.select_option("#grid-x", "steps")
        page.fill("#grid-x-values", "2, 4")
        count += 1
        drawn()
        until(page, "document.querySelectorAll('.sheet .actions button').length === 1")
        # All are there after a reload.
        page.reload()
        until(page, f"document.querySelectorAll('#gallery img').length === {count}")
