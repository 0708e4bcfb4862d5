"""The page in Chromium, with an artist that draws plain colours."""

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from browsing import choose, chromium, drag, drop, fill, until
from PIL import Image

pytestmark = pytest.mark.release
pytest.importorskip("playwright.sync_api")

PICTURES = Path(__file__).parents[1] / "data/pictures"
WIDE = "document.documentElement.scrollWidth"
SEE = "document.querySelector('#canvas').toDataURL()"


@pytest.fixture
def browsing(server):
    server.artist.pause = 0.02
    with chromium(server.url) as browsing:
        yield browsing


@pytest.fixture
def picture(tmp_path):
    """Red above, blue below."""
    pixels = np.zeros((96, 64, 3), np.uint8)
    pixels[:48, :, 0] = pixels[48:, :, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "two.png")
    return tmp_path / "two.png"


def asked_for(server):
    return server.artist.asked[-1]


def pixels(page, selector="#canvas"):
    """The pixels of a canvas."""
    import base64

    said = page.evaluate(f"document.querySelector('{selector}').toDataURL()")
    packed = base64.b64decode(said.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(packed)).convert("RGBA"))


def test_ten_tasks_of_drawing(server, browsing):
    page = browsing.page("narrow")
    assert page.evaluate(WIDE) <= 360
    # Generate, with the keyboard alone; progress, preview.
    page.focus("[name=prompt]")
    page.keyboard.type("a red <b>apple</b>")
    fill(page, width=64, height=64, steps=40, seed=77)
    page.select_option("#sampler", "euler")
    page.keyboard.press("Control+Enter")
    until(page, "document.querySelector('#jobs progress')?.value > 0.1")
    until(page, "document.querySelector('#jobs img')?.src.startsWith('data:')")
    page.wait_for_selector("#gallery img")
    # Its settings, and use them again; Escape closes.
    page.click("#gallery button")
    page.wait_for_selector("#shown[open]")
    assert "a red <b>apple</b>" in page.text_content("#made-with")
    page.keyboard.press("Escape")
    assert not page.evaluate("document.querySelector('#shown').open")
    fill(page, steps=1)
    page.click("#gallery button")
    page.click("#again")
    assert page.input_value("[name=steps]") == "40"
    assert page.input_value("#sampler") == "euler"
    # Cancel.
    page.click("#draw")
    page.click("#jobs button")
    page.wait_for_selector("#jobs progress", state="detached")
    began = time.monotonic()
    while not server.service.counts["cancelled"] and time.monotonic() < began + 1:
        time.sleep(0.01)
    assert server.service.counts["cancelled"] == 1
    # The place in the queue, of more jobs than a browser opens connections.
    server.artist.gate.clear()
    for _ in range(8):
        page.click("#draw")
    until(page, "document.querySelectorAll('#jobs .job').length === 8")
    hints = "[...document.querySelectorAll('#jobs .hint')].map((one) => one.textContent)"
    until(page, f"{hints}.some((one) => /waiting; [1-9] before it/.test(one))")
    server.artist.gate.set()
    page.wait_for_selector("#gallery button:nth-child(9)", timeout=60_000)
    until(page, "!document.querySelector('#jobs .job')", 60)
    # Every option; an error in one line.
    page.click("text=All other options")
    assert page.locator("#others label").count() > 30
    page.fill("#find-option", "clip")
    seen = page.locator("#others label:visible span").all_text_contents()
    assert "CLIP skip" in seen
    assert "VAE tiles, pixels" not in seen
    page.fill("#find-option", "")
    fill(page, width=63)
    page.eval_on_selector("#ask", "form => { form.noValidate = true }")
    page.click("#draw")
    page.wait_for_selector("#error:not(:empty)")
    assert "multiple of 8" in page.text_content("#error")
    browsing.errors.clear()  # the browser's own line about the answer of 400
    assert page.evaluate(WIDE) <= 360
    # A second tab, whose gallery is there; deleting.
    other = browsing.page(scheme="dark")
    other.wait_for_selector("#gallery img")
    other.click("#gallery button")
    other.click("#delete")
    until(other, "document.querySelectorAll('#gallery button').length === 8")


def test_pictures_restore_their_settings(server, browsing, picture):
    page = browsing.page()
    drop(page, PICTURES / "webui.png")
    page.wait_for_selector("#shown[open]")
    assert "webui" in page.text_content("#source")
    page.click("#again")
    assert page.input_value("#sampler") == "unipc"
    assert page.input_value("[name=width]") == "512"
    assert page.input_value("[name=seed]") == "235284042"
    # One that says nothing can be begun from.
    drop(page, picture)
    page.wait_for_selector("#shown[open]")
    assert page.is_hidden("#again")
    browsing.errors.clear()  # the browser's line about the answer of 422
    page.click("#begin-with")
    page.wait_for_selector("#start-picture:visible")


def test_tasks_send_pictures_masks_and_scribbles(server, browsing, picture):
    page = browsing.page()
    fill(page, prompt="a", steps=2, width=64, height=96)
    page.click("#tasks button:text('Picture')")
    page.click("#draw")
    assert "Choose a picture" in page.text_content("#error")
    choose(page, "#choose-picture", picture)
    page.wait_for_selector("#start-picture:visible")
    fill(page, strength=0.5)
    page.click("#draw")
    page.wait_for_selector("#gallery button")
    settings, given = asked_for(server)
    assert settings.strength == 0.5
    assert np.array_equal(given.image, np.asarray(Image.open(picture)))
    # A mask over the left half, and its upper part taken away again.
    page.click("#tasks button:text('Paint over')")
    page.fill("#start input[type=range]", "26")  # pixels, of a side of 64
    drag(page, "#start .paint", [(0.2, 0), (0.2, 1)])
    page.click("#start button:text('Eraser')")
    drag(page, "#start .paint", [(0, 0.05), (0.4, 0.05)])
    page.click("#draw")
    page.wait_for_selector("#gallery button:nth-child(2)")
    mask = asked_for(server)[1].mask
    assert mask.shape == (96, 64)
    assert (mask[40:, 5:20] == 255).all()
    assert (mask[:, 40:] == 0).all()
    assert (mask[:8, 5:20] == 0).all()
    # Undone, inverted, and painted with keys.
    page.click("#start button:text('Clear')")
    page.click("#draw")
    assert "Paint over" in page.text_content("#error")
    page.click("#start button:text('Brush')")
    page.focus("#start .paint")
    page.keyboard.press("Space")
    page.click("#start button:text('Invert')")
    page.click("#draw")
    page.wait_for_selector("#gallery button:nth-child(3)")
    mask = asked_for(server)[1].mask
    assert mask[-1, 0] == 255
    assert 300 < (mask == 0).sum() < 600  # a dab of 26 pixels
    # The sides.
    page.click("#tasks button:text('Grow')")
    page.fill("#sides label:nth-child(1) input", "32")
    page.fill("#sides label:nth-child(4) input", "16")
    assert pixels(page, "#start-picture").shape[:2] == (96 + 16, 64 + 32)
    page.click("#draw")
    page.wait_for_selector("#gallery button:nth-child(4)")
    assert asked_for(server)[0].outpaint == (32, 0, 0, 16)
    # A scribble.
    page.click("#tasks button:text('ControlNet')")
    drag(page, "#control .paint", [(0.2, 0.5), (0.8, 0.5)])
    page.click("#draw")
    page.wait_for_selector("#gallery button:nth-child(5)")
    settings, given = asked_for(server)
    assert settings.control[0].model == "edges"
    assert settings.preprocessor == "scribble"
    assert settings.image == ""
    assert given.controls[0].shape[:2] == (512, 341)
    assert given.controls[0][256, 170].min() == 255  # a white line on black, as nets see them
    assert given.controls[0][20, 20].max() == 0
    # A picture of another option.
    page.click("text=All other options")
    page.set_input_files("[name=reference]", str(picture))
    page.click("#tasks button:text('Text')")
    page.click("#draw")
    page.wait_for_selector("#gallery button:nth-child(6)")
    assert np.array_equal(asked_for(server)[1].reference, np.asarray(Image.open(picture)))
    page.set_input_files("[name=reference]", [])
    # The lines of a picture.
    page.click("#tasks button:text('ControlNet')")
    choose(page, "#hints button:text('Choose a picture')", picture)
    page.wait_for_selector(".hint-picture canvas")
    page.click("#draw")
    page.wait_for_selector("#gallery button:nth-child(7)")
    assert not asked_for(server)[0].reference
    settings, given = asked_for(server)
    assert settings.preprocessor == "canny"
    assert np.array_equal(given.controls[0], np.asarray(Image.open(picture)))


def test_a_refiner_of_the_model_is_chosen(server, browsing):
    page = browsing.page()
    page.click("text=All other options")
    assert page.locator("[name=refiner] option").all_text_contents() == ["none", "fine"]
    fill(page, prompt="a", steps=4, width=64, height=64, refiner_start=0.5)
    for count, name in enumerate(("fine", ""), 1):
        page.select_option("[name=refiner]", name)
        page.click("#draw")
        page.wait_for_selector(f"#gallery button:nth-child({count})")
        assert asked_for(server)[0].refiner == name
    page.click("#gallery button:nth-child(2)")
    page.click("#again")
    assert page.input_value("[name=refiner]") == "fine"


def test_a_grid_is_one_labelled_sheet(server, browsing):
    page = browsing.page()
    fill(page, prompt="an apple", width=64, height=64, seed=9)
    page.click("#grid summary")
    page.select_option("#grid-x", "steps")
    page.fill("#grid-x-values", "2, 3, 4")
    page.select_option("#grid-y", "prompt")
    page.fill("#grid-y-values", "apple, pear")
    page.click("#draw")
    page.wait_for_selector("#gallery button:nth-child(6)", timeout=60_000)
    until(page, "!document.querySelector('.sheet .actions button:nth-child(3)')")
    drawn = {(one.steps, one.prompt, one.seed) for one, _ in server.artist.asked}
    assert drawn == {(steps, f"an {what}", 9) for steps in (2, 3, 4) for what in ("apple", "pear")}
    sheet = pixels(page, ".sheet canvas")
    cells = sheet[34:, 120:, 0]
    assert cells.shape == (2 * 96, 3 * 96)
    assert (cells == 9).all()  # the seed's colour
    assert (sheet[:34, 120:] < 128).any()  # labels
    page.fill("#grid-x-values", "2, many")
    page.click("#draw")
    assert "many" in page.text_content("#error")
    page.fill("#grid-x-values", "2, 3")
    page.fill("#grid-y-values", "cherry")
    page.click("#draw")
    assert "cherry" in page.text_content("#error")


def test_ten_tasks_of_the_editor(server, browsing, picture, tmp_path):
    page = browsing.page()
    page.click("#to-editor")
    # Open a picture.
    drop(page, picture, "#canvas")
    until(page, "document.querySelector('#canvas').width === 64")
    assert tuple(pixels(page)[10, 10]) == (255, 0, 0, 255)
    page.focus("#to-editor")
    # Turn, flip.
    page.click("text=Turn right")
    seen = pixels(page)
    assert seen.shape[:2] == (64, 96)
    assert tuple(seen[10, 70]) == (255, 0, 0, 255)
    page.click("text=Flip across")
    assert tuple(pixels(page)[10, 10]) == (255, 0, 0, 255)
    page.click("text=Turn left")
    assert tuple(pixels(page)[50, 30]) in ((255, 0, 0, 255), (0, 0, 255, 255))
    # Undo, redo.
    for _ in range(3):
        page.click("#undo")
    assert pixels(page).shape[:2] == (96, 64)
    page.click("#redo")
    assert pixels(page).shape[:2] == (64, 96)
    page.click("#undo")
    # Crop the upper part.
    page.click("button:text-is('Crop')")
    page.fill(".bar:has(button:text-is('Cut out')) label:nth-child(4) input", "48")
    page.click("text=Cut out")
    seen = pixels(page)
    assert seen.shape[:2] == (48, 64)
    # Paint a green line, erase its middle.
    page.click("#editor-view button:text-is('Brush')")
    page.fill("#brush-colour", "#00ff00")
    drag(page, "#canvas", [(0, 0.5), (0.99, 0.5)])
    assert tuple(pixels(page)[24, 32]) == (0, 255, 0, 255)
    page.click("#editor-view button:text-is('Eraser')")
    drag(page, "#canvas", [(0.5, 0.5), (0.5, 0.5)])
    page.focus("#to-editor")
    assert tuple(pixels(page)[24, 32]) == (255, 0, 0, 255)
    assert tuple(pixels(page)[24, 2]) == (0, 255, 0, 255)
    # Text, moved by keys, hidden, removed.
    before = page.evaluate(SEE)
    page.click("text=Add text")
    page.fill(".values textarea", "Hi")
    assert page.evaluate(SEE) != before
    page.focus("#canvas")
    page.keyboard.press("Shift+ArrowDown")
    assert page.input_value(".values label:has-text('From the top') input") == "34"
    page.uncheck(".layers li:first-child input")
    page.check(".layers li:first-child input")
    page.click("#remove-layer")
    page.focus("#to-editor")
    assert page.evaluate(SEE) == before
    # A second picture is a layer of its own, moved with the pointer.
    layers = page.locator(".layers li").count()
    drop(page, picture, "#canvas")
    until(page, f"document.querySelectorAll('.layers li').length === {layers + 1}")
    where = page.input_value(".values label:has-text('From the left') input")
    drag(page, "#canvas", [(0.5, 0.5), (0.7, 0.6)])
    assert page.input_value(".values label:has-text('From the left') input") != where
    page.click("#remove-layer")
    # Layers: a background that is seen where the picture is hidden.
    page.click("text=Add background")
    page.uncheck(".layers li:nth-child(2) input")
    assert tuple(pixels(page)[2, 60][:3]) not in ((255, 0, 0), (0, 0, 255))
    # A template whose place takes the picture, exported as PNG.
    page.click(".template:has-text('Sticker')")
    drop(page, picture, "#canvas")
    until(page, "document.querySelector('.values select') !== null")
    with page.expect_download() as got:
        page.click("text=Save as PNG")
    got.value.save_as(tmp_path / "sticker.png")
    saved = np.asarray(Image.open(tmp_path / "sticker.png"))
    assert saved.shape == (768, 768, 4)
    assert tuple(saved[200, 384]) == (255, 0, 0, 255)
    assert saved[2, 2, 3] == 0
    # As a start picture.
    page.click("#editor-view button:text('Use as start picture')")
    page.wait_for_selector("#start-picture:visible")
    assert pixels(page, "#start-picture").shape[:2] == (768, 768)


def test_chinese_dark_and_keys(server, browsing):
    page = browsing.page("narrow", "dark", "zh-CN")
    assert page.evaluate("document.documentElement.lang") == "zh"
    assert page.text_content("#draw") == "绘制"
    left = page.evaluate(
        "[...document.querySelectorAll('[data-text]')].filter((one) => !one.textContent).length"
    )
    assert left == 0
    page.select_option("#language", "en")
    until(page, "document.querySelector('#draw').textContent === 'Draw'")
    page.select_option("#theme", "light")
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "light"
    page.reload()
    page.wait_for_selector("#model option", state="attached")
    assert page.text_content("#draw") == "Draw"
    # Each control that is seen is reached by Tab.
    for name in ("#to-draw", "#to-editor"):
        page.click(name)
        seen = page.evaluate(
            """[...document.querySelectorAll(
                'button, input, select, textarea, summary, a[href], canvas[tabindex]'
            )].filter((one) => one.checkVisibility() && !one.disabled).length"""
        )
        page.evaluate("document.activeElement.blur()")
        reached = set()
        for _ in range(seen + 3):
            page.keyboard.press("Tab")
            reached.add(
                page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)")
            )
        assert len(reached) >= seen
        assert page.evaluate(WIDE) <= 360


@pytest.mark.skipif(
    not os.environ.get("JAXSD_AXE"), reason="JAXSD_AXE is to name axe.min.js, of npm's axe-core"
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(server, browsing, picture, scheme):
    pytest.importorskip("av")
    axe = Path(os.environ["JAXSD_AXE"]).read_text(encoding="utf-8")
    page = browsing.page(scheme=scheme)
    fill(page, prompt="a", steps=2, width=64, height=64)

    def check(view):
        page.evaluate(axe)
        found = page.evaluate("axe.run()")["violations"]
        bad = [
            (view, one["id"], one["nodes"][0]["html"])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert not bad

    page.click("#draw")
    page.wait_for_selector("#gallery button")
    for summary in ("#builder summary", "#grid summary", "text=All other options"):
        page.click(summary)
    check("text")
    page.click("#gallery button")
    check("picture")
    page.click("#begin-with")
    for task in ("Picture", "Paint over", "Grow", "ControlNet", "Video"):
        page.click(f"#tasks button:text('{task}')")
        check(task)
    page.fill("#video label:has-text('Seconds') input", "0.5")
    page.click("#draw")
    page.wait_for_selector("#videos video")
    check("film")
    page.click("#tasks button:text('ControlNet')")
    page.click("#add-hint")
    page.click("#draw")
    page.wait_for_selector("#error:not(:empty)")
    check("two hints and an error")
    page.click("#to-editor")
    check("editor")
    for name in ("Poster", "Sticker"):
        page.click(f".template:has-text('{name}')")
        page.click(".layers li:last-child .layer")
        check(name)
    for tool in ("Crop", "Brush"):
        page.click(f"#editor-view button:text-is('{tool}')")
        check(tool)
