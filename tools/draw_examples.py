"""Draws the pictures in docs/ that README's examples begin from, and puts their results in a row.

python tools/draw_examples.py                # docs/sketch.png, docs/mask.png
python tools/draw_examples.py --results .    # docs/pictures.png, of what README's commands drew
"""

from collections.abc import Sequence
from pathlib import Path

from absl import app, flags
from PIL import Image, ImageDraw

OUT = flags.DEFINE_string("out", "docs", "folder of the pictures")
RESULTS = flags.DEFINE_string("results", None, "folder where README's commands wrote")

ROW = ("from_sketch.png", "apple.png", "repainted.png", "grown.png", "with_edges.png")
HEIGHT, GAP = 128, 6

SIDE = 256
"""In pixels; the examples show that any size works."""


def sketch() -> Image.Image:
    """An apple as somebody draws one with a mouse."""
    image = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((44, 76, 212, 236), fill=(214, 48, 40))
    draw.line((128, 84, 136, 40), fill=(96, 64, 32), width=10)
    draw.ellipse((136, 32, 196, 64), fill=(64, 150, 60))
    return image


def mask() -> Image.Image:
    """White in the upper part of a picture, which is to be repainted."""
    image = Image.new("L", (SIDE, SIDE), "black")
    ImageDraw.Draw(image).rectangle((0, 0, SIDE, SIDE // 2), fill="white")
    return image


def row(pictures: Sequence[Path]) -> Image.Image:
    """Pictures of one height side by side, on white."""
    images = [Image.open(path).convert("RGB") for path in pictures]
    images = [image.resize((image.width * HEIGHT // image.height, HEIGHT)) for image in images]
    width = sum(image.width + GAP for image in images) + GAP
    sheet, left = Image.new("RGB", (width, HEIGHT + 2 * GAP), "white"), GAP
    for image in images:
        sheet.paste(image, (left, GAP))
        left += image.width + GAP
    return sheet


def main(argv: Sequence[str]) -> None:
    """Writes the pictures."""
    del argv
    folder = Path(OUT.value)
    folder.mkdir(exist_ok=True)
    if RESULTS.value is not None:
        drawn = [Path(RESULTS.value) / name for name in ROW]
        row([folder / "sketch.png", *drawn]).save(folder / "pictures.png")
        return
    sketch().save(folder / "sketch.png")
    mask().save(folder / "mask.png")


if __name__ == "__main__":
    app.run(main)
