import base64
import re
import time

import httpx
import pytest

from jaxsd.server.page_routes import FILES
from jaxsd.settings import Settings


def test_the_page_is_small_whole_and_asks_nobody_else(server):
    with httpx.Client(base_url=server.url) as client:
        answers = [client.get("/"), *(client.get(f"/page/{name}") for name in FILES)]
        assert [one.status_code for one in answers] == [200] * 4
        assert client.get("/page/..%2fapp.py").status_code == 404
        policy = answers[0].headers["content-security-policy"]
    text = "".join(one.text for one in answers)
    assert len(text) < 400_000
    assert not re.search(r"https?://", text)
    assert "default-src 'self'" in policy
    # What the policy would not run, and what would put a prompt in as HTML.
    assert not re.search(r"<script>|style=|onclick=\"|innerHTML|eval\(", text)


def test_settings_come_back_out_of_a_picture(server):
    with httpx.Client(base_url=server.url) as client:
        asked = {"prompt": 'a, b: "c"', "size": "64x64", "steps": 3, "sampler": "euler", "seed": 4}
        made = client.post("/v1/images/generations", json=asked).json()["data"][0]["b64_json"]
        told = client.post("/jaxsd/v1/settings", json={"image": made}).json()["settings"]
        assert (told["prompt"], told["steps"], told["seed"]) == ('a, b: "c"', 3, 4)
        assert told["freeu"] == list(Settings().freeu)
        again = client.post("/jaxsd/v1/jobs", json=told)
        assert again.status_code == 202, again.text
        plain = base64.b64encode(b"GIF89a").decode()
        assert client.post("/jaxsd/v1/settings", json={"image": plain}).status_code == 422


def until(page, expression):
    """Playwright's own wait evaluates a text in the page, which its policy forbids."""
    late = time.monotonic() + 10
    while not page.evaluate(expression):
        assert time.monotonic() < late, expression
        time.sleep(0.02)


@pytest.mark.release
def test_ten_tasks_in_a_browser(server, tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api")
    server.artist.pause = 0.05
    asked, errors = [], []
    with sync_api.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.on("request", lambda one: asked.append(one.url))
        page.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda one: errors.append(str(one)))
        page.goto(server.url)
        page.wait_for_selector("#sampler option:nth-child(5)", state="attached")
        wide = "document.documentElement.scrollWidth"
        assert page.evaluate(wide) <= 360
        # Generate, with the keyboard alone; progress, preview.
        page.keyboard.type("a red <b>apple</b>")
        for name, value in (("width", "64"), ("height", "64"), ("steps", "20"), ("seed", "77")):
            page.fill(f"[name={name}]", value)
        page.select_option("#sampler", "euler")
        page.keyboard.press("Control+Enter")
        until(page, "document.querySelector('#jobs progress')?.value > 0.1")
        until(page, "document.querySelector('#jobs img')?.src.startsWith('data:')")
        page.wait_for_selector("#gallery img")
        # Its settings, and use them again.
        page.click("#gallery button")
        assert "a red <b>apple</b>" in page.text_content("dialog pre")
        page.fill("[name=steps]", "1", force=True)
        page.click("#again")
        assert page.input_value("[name=steps]") == "20"
        assert page.input_value("#sampler") == "euler"
        # Cancel.
        page.click("#draw")
        page.click("#jobs button")
        page.wait_for_selector("#jobs progress", state="detached")
        began = time.monotonic()
        while not server.service.counts["cancelled"] and time.monotonic() < began + 1:
            time.sleep(0.01)
        assert server.service.counts["cancelled"] == 1
        # Every option, an error in one line, a second tab, deleting.
        page.click("text=Everything else")
        assert page.locator("#others label").count() > 30
        page.fill("[name=width]", "63")
        page.eval_on_selector("#ask", "form => { form.noValidate = true }")
        page.click("#draw")
        page.wait_for_selector("#error:not(:empty)")
        assert "multiple of 8" in page.text_content("#error")
        errors.clear()  # the browser's own line about the answer of 400
        assert page.evaluate(wide) <= 360
        page.screenshot(path=str(tmp_path / "narrow.png"), full_page=True)
        other = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="dark")
        other.goto(server.url)
        other.wait_for_selector("#gallery img")
        other.screenshot(path=str(tmp_path / "dark.png"))
        other.click("#gallery button")
        other.click("#delete")
        other.wait_for_selector("#gallery button", state="detached")
        browser.close()
    assert not errors
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {server.url[7:]}
