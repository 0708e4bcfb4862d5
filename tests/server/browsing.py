"""The page in Debian's Chromium, with what it asks for and complains about."""

import contextlib
import time

CHROMIUM = "/usr/bin/chromium"
SIZES = {"wide": (1280, 860), "narrow": (360, 740)}


class Browsing:
    """A browser, and what happened in its pages.

    Attributes: asked, addresses of requests; errors, lines of the console that are errors.
    """

    def __init__(self, browser, url):
        self.browser, self.url, self.asked, self.errors = browser, url, [], []

    def page(self, size="wide", scheme="light", language="en-US", ready=True, touch=False):
        width, height = SIZES[size]
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            locale=language,
            has_touch=touch,
            accept_downloads=True,
        )
        page = context.new_page()
        page.on("request", lambda one: self.asked.append(one.url))
        page.on("console", lambda one: self.errors.append(one.text) if one.type == "error" else 0)
        page.on("pageerror", lambda one: self.errors.append(str(one)))
        page.set_default_timeout(60_000)
        page.goto(self.url)
        if ready:
            page.wait_for_selector("#model option", state="attached")
            page.wait_for_selector("#canvas", state="attached")
        return page

    def check(self):
        """No error, and no request to another host."""
        own = self.url.partition("//")[2]
        local = ("data:", "blob:")
        others = {one for one in self.asked if not one.startswith(local)}
        assert not self.errors
        assert {one.split("/")[2] for one in others} == {own}


@contextlib.contextmanager
def chromium(url):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        browsing = Browsing(browser, url)
        yield browsing
        browser.close()
    browsing.check()


def until(page, expression, seconds=10):
    """Playwright's own wait evaluates a text in the page, which its policy forbids."""
    late = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < late, expression
        time.sleep(0.02)


def fill(page, **values):
    for name, value in values.items():
        page.fill(f"[name={name}]", str(value))


def choose(page, selector, path):
    """Chooses a file where the page asks for one."""
    with page.expect_file_chooser() as chosen:
        page.click(selector)
    chosen.value.set_files(str(path))


def drop(page, path, selector="body"):
    """Drops a file onto an element."""
    import base64

    data = base64.b64encode(path.read_bytes()).decode()
    handle = page.evaluate_handle(
        """([data, name]) => {
            const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
            const brought = new DataTransfer();
            brought.items.add(new File([bytes], name, { type: "image/png" }));
            return brought;
        }""",
        [data, path.name],
    )
    page.dispatch_event(selector, "drop", {"dataTransfer": handle})


def drag(page, selector, points):
    """Drags over an element; points are shares of its sides."""
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def pinch(page, selector, before, after):
    """Moves two fingers over an element, both down before either moves; places as in `drag`."""
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    fingers = page.context.new_cdp_session(page)

    def touch(kind, places):
        points = [
            {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"], "id": i}
            for i, (x, y) in enumerate(places)
        ]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", before[:1])
    touch("touchStart", before)
    for share in (0.25, 0.5, 0.75, 1):
        places = [
            [one + share * (other - one) for one, other in zip(was, now, strict=True)]
            for was, now in zip(before, after, strict=True)
        ]
        touch("touchMove", places)
    touch("touchEnd", after[:1])
    touch("touchEnd", [])
