"""Sheets of pictures with texts at their sides."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 4
"""Pixels of white around pictures and texts."""
_WIDEST = 400
"""Pixels of the column of labels at the left, at most."""


def labelled_sheet(
    images: Sequence[np.ndarray],
    columns: Sequence[str],
    rows: Sequence[str] = ("",),
    pages: Sequence[str] = ("",),
) -> np.ndarray:
    """Pictures in a grid with a text above each column and beside each row.

    Letters that Pillow's own font does not have (it has Latin ones) become boxes.

    Args:
      images: uint8 [H, W, 3] of any sizes, column by column of a row, row by row of a page.
      columns: texts above.
      rows: texts at the left.
      pages: texts above the pages, which lie below each other.

    Returns:
      uint8 [H, W, 3], black on white.
    """
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    size = max(11, min(height, width) // 12)
    left = [text_block(text, min(_WIDEST, max(width, 80)), size) for text in rows]
    above = [text_block(text, width, size) for text in columns]
    margin = max(block.shape[1] for block in left)
    top = max(block.shape[0] for block in above)
    whole = margin + len(columns) * (width + GAP) + GAP
    titles = [text_block(text, whole, size) for text in pages]
    each = iter(images)
    bands = []
    for title in titles:
        bands += [_centred(title, title.shape[0], whole)]
        head = [_centred(block, top, width) for block in above]
        bands += [_beside(np.zeros((0, 0, 3), np.uint8), head, margin, top, whole)]
        for block in left:
            cells = [_centred(next(each), height, width) for _ in columns]
            bands += [_beside(block, cells, margin, height, whole)]
    return np.concatenate(bands)


def text_block(text: str, width: int, size: int) -> np.ndarray:
    """A text, broken into lines that fit a width where words allow, uint8 [H, W, 3].

    As wide as its longest line, with `GAP` pixels around; [0, 0, 3] where there is no text.
    """
    if not text.strip():
        return np.zeros((0, 0, 3), np.uint8)
    font = ImageFont.load_default(size)
    lines = _lines(text, width - 2 * GAP, font)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    box = pen.multiline_textbbox((0, 0), "\n".join(lines), font=font, align="center")
    sides = tuple(int(np.ceil(end)) + 2 * GAP for end in box[2:])
    canvas = Image.new("RGB", sides, "white")
    pen = ImageDraw.Draw(canvas)
    pen.multiline_text((GAP, GAP), "\n".join(lines), "black", font, align="center")
    return np.asarray(canvas)


def _lines(text: str, width: int, font: ImageFont.FreeTypeFont) -> list[str]:
    """Lines of words; a word that is too wide is broken."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _centred(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture in the middle of a white one; what is too large is cut."""
    canvas = np.full((height, width, 3), 255, np.uint8)
    image = image[:height, :width]
    top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas


def _beside(
    label: np.ndarray, cells: Sequence[np.ndarray], margin: int, height: int, whole: int
) -> np.ndarray:
    """A band of the sheet: a label in the margin, and cells with gaps between."""
    band = np.full((height + GAP, whole, 3), 255, np.uint8)
    band[:height, :margin] = _centred(label, height, margin)
    for i, cell in enumerate(cells):
        start = margin + GAP + i * (cell.shape[1] + GAP)
        band[:height, start : start + cell.shape[1]] = cell
    return band
