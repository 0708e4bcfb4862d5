"""Glyphs of the icon packages: SVG text by emojibase label, and pixels."""

import functools
import io
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import resvg_py
from PIL import Image

from emoji import packages


class Entry(NamedTuple):
    """What emojibase says about one emoji."""

    hexcode: str
    label: str
    tags: tuple[str, ...]
    group: int | None


def slug(label: str) -> str:
    """The label in the spelling of icon names: `Statue of Liberty` -> `statue-of-liberty`."""
    plain = label.lower().replace("\u2019", "").replace("'", "")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _hexcode(code: str) -> str:
    """Code points without the variation selector, which the packages use differently."""
    return code.lower().replace("-fe0f", "")


def read_entries(tarball: Path) -> list[Entry]:
    """Every emoji of emojibase with its English label and tags, in the order of the file."""
    rows = packages.read_json(tarball, "en/data.json")
    return [
        Entry(_hexcode(e["hexcode"]), e["label"], tuple(e.get("tags", ())), e.get("group"))
        for e in rows
    ]


def svg(icons: dict, name: str) -> str:
    """One icon of an iconify set as a complete SVG document."""
    icon = icons["icons"][name]
    left, top = icon.get("left", 0), icon.get("top", 0)
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}">'
        f"{icon['body']}</svg>"
    )


def read_icons(tarball: Path) -> dict[str, str]:
    """SVG text of every icon of a package, by the package's own name."""
    icons = packages.read_json(tarball, "icons.json")
    return {name: svg(icons, name) for name in icons["icons"]}


def read_emoji(tarball: Path, entries: list[Entry]) -> dict[str, str]:
    """SVG text of an emoji package's base glyphs, by emojibase label.

    An icon belongs to the emoji whose code point the package gives for it, or else to the one
    whose label is spelt like its name; skin-tone variants belong to none.
    """
    by_code = {entry.hexcode: entry.label for entry in entries}
    by_slug = {slug(entry.label): entry.label for entry in entries}
    codes: dict[str, str] = {}
    for code, name in packages.read_json(tarball, "chars.json").items():
        codes.setdefault(name, _hexcode(code))
    found: dict[str, str] = {}
    for name, text in read_icons(tarball).items():
        label = by_code.get(codes.get(name, "")) or by_slug.get(name)
        if label is not None:
            found.setdefault(label, text)
    return found


@functools.lru_cache(maxsize=4)
def rasterize(text: str, size: int) -> np.ndarray:
    """The SVG centred in a square, uint8 [size, size, 4], straight alpha."""
    width, height = map(float, re.search(r'width="([\d.]+)" height="([\d.]+)"', text).groups())
    scale = size / max(width, height)
    png = resvg_py.svg_to_bytes(
        svg_string=text, width=round(width * scale), height=round(height * scale)
    )
    image = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    square = Image.new("RGBA", (size, size))
    square.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return np.asarray(square)
