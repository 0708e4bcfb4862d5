"""Videos of the page in Chromium, of frames that are plain colours."""

import pytest
from browsing import chromium, fill, until

pytestmark = pytest.mark.release
pytest.importorskip("playwright.sync_api")
pytest.importorskip("av")

PLAYER = "document.querySelector('#videos video')"


def test_a_walk_is_played_saved_and_deleted(server, tmp_path):
    server.artist.pause = 0.15
    with chromium(server.url) as browsing:
        page = browsing.page("narrow")
        fill(page, prompt="a red apple", width=64, height=48, steps=3, seed=5)
        page.click("#tasks button:text('Video')")
        assert page.is_hidden("[name=num_images]")
        assert page.is_hidden("#grid")
        page.fill("#video-then", "a green pear\na lemon")
        page.fill("#video label:has-text('Seconds') input", "1.5")
        page.fill("#video label:has-text('Frames') input", "8")
        page.click("#draw")
        until(page, "document.querySelector('#videos progress')?.value > 10")
        assert page.text_content("#videos .prompts") == "a red apple\na green pear\na lemon"
        page.wait_for_selector("#videos video")
        assert page.evaluate(f"{PLAYER}.readyState") == 0  # nothing is read before it is played
        page.evaluate(f"{PLAYER}.play()")
        until(page, f"{PLAYER}.readyState > 0", 30)
        page.evaluate(f"{PLAYER}.pause()")
        assert page.evaluate(f"[{PLAYER}.videoWidth, {PLAYER}.videoHeight]") == [64, 48]
        assert abs(page.evaluate(f"{PLAYER}.duration") - 1.5) < 0.01
        asked = [one for one, _ in server.artist.asked]
        assert len(asked) == 12
        assert {one.steps for one in asked} == {3}
        page.evaluate(f"{PLAYER}.currentTime = 1")  # which asks for a part of the file
        until(page, f"{PLAYER}.currentTime === 1 && !{PLAYER}.seeking")
        with page.expect_download() as got:
            page.click("#videos a")
        assert got.value.suggested_filename == "5.mp4"
        got.value.save_as(tmp_path / "a.mp4")
        assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        # It is there after a reload; one that is still drawn can be ended.
        server.artist.pause = 0.1
        page.click("#draw")
        until(page, "document.querySelectorAll('#videos article').length === 2")
        page.click("#videos article:first-child button")
        until(page, "document.querySelectorAll('#videos article').length === 1")
        page.reload()
        page.wait_for_selector("#videos video")
        page.click("#videos button")
        until(page, "document.querySelectorAll('#videos article').length === 0")
        # What is wrong is said in one line.
        page.click("#tasks button:text('Video')")
        fill(page, prompt="a")
        page.fill("#video label:has-text('Seconds') input", "60")
        page.fill("#video label:has-text('Frames') input", "60")
        page.click("#draw")
        page.wait_for_selector("#error:not(:empty)")
        assert "3600 frames" in page.text_content("#error")
        browsing.errors.clear()  # the browser's own line about the answer of 400
