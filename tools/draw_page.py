"""Draws docs/page.png: the page of a server that runs, with some pictures in its gallery.

    jaxsd serve --data /tmp/shown & python tools/draw_page.py http://127.0.0.1:7860

It needs `pip install playwright` and Chromium.
"""

import argparse

from playwright.sync_api import sync_playwright

PROMPTS = (
    "a red apple",
    "a blue car",
    "a pizza",
    "a green tree",
    "a sailboat on a blue background",
    "a cat",
    "an owl",
    "a rocket, flat style",
)


def main() -> None:
    """Asks for pictures, waits for them, and takes a picture of the page while two are drawn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("-o", "--output", default="docs/page.png")
    args = parser.parse_args()
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": 800}, color_scheme="light")
        page.goto(args.url)
        page.wait_for_selector("#sampler option:nth-child(5)", state="attached")
        for prompt in PROMPTS:
            page.fill("[name=prompt]", prompt)
            page.fill("[name=steps]", "20")
            page.fill("[name=seed]", "3")
            page.click("#draw")
        page.wait_for_selector(f"#gallery button:nth-child({len(PROMPTS) - 2})", timeout=300_000)
        page.wait_for_timeout(700)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=args.output)
        browser.close()


if __name__ == "__main__":
    main()
