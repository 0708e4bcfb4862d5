"""Several pictures in one."""

import math

import numpy as np

GAP = 4
"""Pixels of white between the pictures of a contact sheet."""


def contact_sheet(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Pictures [B, H, W, 3] row by row in one, uint8; without `columns`, in about a square.

    Places that are left over, and gaps of `GAP` pixels, are white.
    """
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    rows = math.ceil(count / columns)
    sheet = np.full(
        (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels), 255, np.uint8
    )
    for i, image in enumerate(images):
        top, left = (
            GAP + place * (side + GAP)
            for place, side in zip(divmod(i, columns), (height, width), strict=True)
        )
        sheet[top : top + height, left : left + width] = image
    return sheet
