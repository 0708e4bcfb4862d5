"""Masks and hints of the page in Chromium: near and far, taken back, and several of them."""

import numpy as np
import pytest
from browsing import choose, chromium, drag, fill, pinch, until
from PIL import Image

pytestmark = pytest.mark.release
pytest.importorskip("playwright.sync_api")

PAINT = "#start .paint"
PERCENT = "parseInt(document.querySelector('#start .zoomed').textContent)"
WIDTHS = (
    "['.view', '.stack'].map("
    "one => document.querySelector(`#start ${one}`).getBoundingClientRect().width)"
)


@pytest.fixture
def browsing(server):
    with chromium(server.url) as browsing:
        yield browsing


@pytest.fixture
def picture(tmp_path):
    """200 x 160 pixels, of random grey."""
    pixels = np.random.default_rng(0).integers(0, 256, (160, 200), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


def begin(page, picture):
    """A picture to paint over, with a brush of ten of its pixels."""
    fill(page, prompt="a", steps=1, width=200, height=160)
    page.click("#tasks button:text('Paint over')")
    choose(page, "#choose-picture", picture)
    page.wait_for_selector(PAINT)
    page.fill("#start input[type=range]", "10")


def place(page, share):
    """Where a share of both sides of the view is on the screen."""
    view = page.locator("#start .view")
    view.scroll_into_view_if_needed()
    box = view.bounding_box()
    return box["x"] + share * box["width"], box["y"] + share * box["height"]


def painted(page):
    """Which pixels of the picture are painted, bool [H, W]."""
    rows = page.evaluate(
        f"""(() => {{
            const canvas = document.querySelector('{PAINT}');
            const {{ width, height }} = canvas;
            const {{ data }} = canvas.getContext('2d').getImageData(0, 0, width, height);
            return Array.from({{ length: height }}, (_, y) =>
                Array.from({{ length: width }}, (_, x) => data[4 * (y * width + x) + 3]));
        }})()"""
    )
    return np.array(rows) > 127


def extent(mask):
    """First and last painted row, first and last painted column."""
    return [int(one) for axis in np.nonzero(mask) for one in (axis.min(), axis.max())]


def test_a_brush_is_as_large_near_as_from_far(browsing, picture):
    page = browsing.page()
    begin(page, picture)
    x, y = place(page, 0.25)
    page.mouse.click(x, y)
    far = painted(page)
    assert abs(far.sum() - 25 * np.pi) < 12  # a disc of 10 pixels
    # What is under the pointer stays there while the wheel turns.
    page.mouse.wheel(0, -400)
    until(page, f"{PERCENT} > 200")
    page.mouse.move(x, y)
    page.keyboard.press("Control+z")
    page.mouse.click(x, y)
    near = painted(page)
    assert abs(int(near.sum()) - int(far.sum())) < 12
    assert np.abs(np.subtract(extent(near), extent(far))).max() <= 1
    # The ring around the brush is where that is, and as large as what it paints.
    ring = page.locator("#start .ring").bounding_box()
    times, (view, _) = page.evaluate(PERCENT) / 100, page.evaluate(WIDTHS)
    assert abs(ring["width"] - 10 * times * view / 200) < 1
    assert abs(ring["x"] + ring["width"] / 2 - x) < 2
    assert abs(ring["y"] + ring["height"] / 2 - y) < 2
    # A drag of the hand moves the picture, and paints nothing.
    page.click("#start button:text('Move view')")
    drag(page, "#start .view", [(0.25, 0.25), (0.5, 0.5)])
    assert np.array_equal(painted(page), near)
    page.click("#start button:text('Brush')")
    page.mouse.click(*place(page, 0.5))
    assert np.abs(np.subtract(extent(painted(page)), extent(far))).max() <= 1
    # All of it again.
    page.click("#start .zoomed")
    assert page.evaluate(PERCENT) == 100
    first, second = page.evaluate(WIDTHS)
    assert first == second


def test_the_wheel_is_the_pages_until_the_picture_has_the_focus(browsing, picture):
    page = browsing.page()
    begin(page, picture)
    page.locator(PAINT).hover()
    page.mouse.wheel(0, -100)
    page.wait_for_timeout(100)
    assert page.evaluate(PERCENT) == 100
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    until(page, f"{PERCENT} > 100")
    page.keyboard.up("Control")
    page.mouse.wheel(0, 5000)
    page.wait_for_timeout(100)
    assert page.evaluate(PERCENT) > 100
    page.focus(PAINT)
    page.locator(PAINT).hover()
    page.mouse.wheel(0, 5000)
    until(page, f"{PERCENT} === 100")


def test_two_fingers_zoom_and_paint_nothing_at_360_pixels(browsing, picture):
    page = browsing.page("narrow", touch=True)
    begin(page, picture)
    page.touchscreen.tap(*place(page, 0.5))
    one = painted(page)
    assert one.any()
    pinch(page, "#start .view", [(0.4, 0.4), (0.6, 0.6)], [(0.2, 0.2), (0.8, 0.8)])
    assert 280 <= page.evaluate(PERCENT) <= 320
    assert np.array_equal(painted(page), one)
    # Their middle moves the picture; the brush is as large as before, and where the finger is.
    pinch(page, "#start .view", [(0.4, 0.5), (0.6, 0.5)], [(0.1, 0.5), (0.3, 0.5)])
    assert 280 <= page.evaluate(PERCENT) <= 320
    page.touchscreen.tap(*place(page, 0.5))
    two = painted(page) & ~one
    assert abs(two.sum() - 25 * np.pi) < 12
    assert 15 <= extent(two)[2] - extent(one)[2] <= 25  # 0.3 of 200 pixels, three times as large
    page.click("#start .zoomed")
    pinch(page, "#start .view", [(0.2, 0.2), (0.8, 0.8)], [(0.4, 0.4), (0.6, 0.6)])
    assert page.evaluate(PERCENT) == 100
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_keys_zoom_paint_and_take_back(browsing, picture):
    page = browsing.page()
    begin(page, picture)
    page.focus(PAINT)
    for key in ("+", "+", "Space"):
        page.keyboard.press(key)
    assert page.evaluate(PERCENT) == 225
    rows = extent(painted(page))
    assert np.abs(np.subtract(rows, (75, 84, 95, 104))).max() <= 1  # the middle
    # The picture follows the brush to its corner.
    for key in ("Shift+ArrowRight", "Shift+ArrowDown"):
        for _ in range(8):
            page.keyboard.press(key)
    shown = page.locator("#start .ring").bounding_box()
    view = page.locator("#start .view").bounding_box()
    assert shown["x"] + shown["width"] / 2 <= view["x"] + view["width"] + 1
    page.keyboard.press("Space")
    assert painted(page)[159, 199]
    page.keyboard.press("Control+z")
    assert extent(painted(page)) == rows
    page.keyboard.press("Control+Shift+z")
    assert painted(page)[159, 199]
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert not painted(page).any()
    assert page.is_disabled("#start button:text('Undo')")
    page.click("#start button:text('Redo')")
    assert extent(painted(page)) == rows
    page.focus(PAINT)
    page.keyboard.press("]")
    assert page.text_content("#start output") == "13 px"
    page.keyboard.press("-")
    page.keyboard.press("0")
    assert page.evaluate(PERCENT) == 100


def test_several_hints_each_with_a_net_a_weight_and_an_interval(server, browsing, picture):
    page = browsing.page()
    fill(page, prompt="a", steps=1, width=64, height=64)
    page.click("#tasks button:text('ControlNet')")
    assert page.locator("#hints button:text('Remove this hint')").first.is_hidden()
    drag(page, ".hint-box:nth-child(1) .paint", [(0.2, 0.5), (0.8, 0.5)])
    page.click("#add-hint")
    second = ".hint-box:nth-child(2)"
    assert page.text_content(f"{second} legend") == "Hint 2"
    # An empty hint is named, and nothing is asked for.
    page.click("#draw")
    assert "Hint 2 is empty" in page.text_content("#error")
    assert not server.artist.asked
    choose(page, f"{second} button:text('Choose a picture')", picture)
    page.wait_for_selector(f"{second} .hint-picture canvas")
    assert page.input_value("[name=preprocessor]") == "as_given"
    assert page.is_visible("#hint-mixed")
    for i, value in enumerate(("0.5", "0.2", "0.75"), 2):
        page.fill(f"{second} .row label:nth-child({i}) input", value)
    page.click("#draw")
    page.wait_for_selector("#gallery button")
    settings, given = server.artist.asked[-1]
    told = [(one.model, one.weight, one.first, one.last) for one in settings.control]
    assert told == [("edges", 1, 0, 1), ("edges", 0.5, 0.2, 0.75)]
    assert settings.preprocessor == "as_given"
    assert given.controls[0].shape[:2] == (512, 512)
    assert given.controls[0][256, 256].min() == 255
    assert np.array_equal(given.controls[1][..., 0], np.asarray(Image.open(picture)))
    # The first one goes; a third one comes back as a scribble.
    page.click(".hint-box:nth-child(1) button:text('Remove this hint')")
    assert page.input_value("[name=preprocessor]") == "canny"
    assert page.text_content(".hint-box legend") == "Hint 1"
    page.click("#draw")
    page.wait_for_selector("#gallery button:nth-child(2)")
    settings, _ = server.artist.asked[-1]
    assert [one.weight for one in settings.control] == [0.5]
    page.click("button:text('Draw instead')")
    assert page.input_value("[name=preprocessor]") == "scribble"
    # Used again: nets, weights and intervals are there, and so is how hints are seen.
    page.click("#tasks button:text('Text')")
    page.click("#gallery button:nth-child(2)")
    page.click("#again")
    page.wait_for_selector(f"{second} .paint")
    values = [
        page.input_value(f".hint-box:nth-child({n}) .row label:nth-child({i}) input")
        for n in (1, 2)
        for i in (2, 3, 4)
    ]
    assert [float(one) for one in values] == [1, 0, 1, 0.5, 0.2, 0.75]
    assert page.input_value("[name=preprocessor]") == "as_given"
