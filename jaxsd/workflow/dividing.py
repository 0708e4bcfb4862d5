"""Texts for parts of a picture: masks and areas of conditions."""

import numpy as np

from jaxsd.sampling.features.areas import Area, Areas
from jaxsd.workflow.arrays import Sides, repeated
from jaxsd.workflow.resizing import resized
from jaxsd.workflow.values import Condition

EDGE = 8
"""Latents over which the edge of an area fades."""


def areas_of(sides: Sides, batch: int, height: int, width: int) -> Areas:
    """Masks and areas of all branches, for latents of a size."""
    made = [_area_of(one, batch, height, width) for one in sides.branches]
    masks, areas = zip(*made, strict=True)
    return Areas(np.stack(masks, axis=1)[..., None], tuple(areas))


def _area_of(one: Condition, batch: int, height: int, width: int) -> tuple[np.ndarray, Area | None]:
    """The mask [B, h, w] of a condition, and its area."""
    box = (height, width, 0, 0)
    if one.area is not None:
        box = _box(one.area, height, width)
    mask = None
    if one.mask is not None:
        mask = resized(one.mask[..., None], height, width, "bilinear")[..., 0]
        if one.bounds:
            box = _bounds(mask, height, width)
        mask = repeated(mask, batch) * one.mask_strength
    rows, columns, y, x = box
    rows, columns = min(rows, height - y), min(columns, width - x)
    if rows <= 0 or columns <= 0:
        raise ValueError("the area of a text lies outside of the picture")
    inside = np.ones((batch, rows, columns), np.float32)
    if mask is not None:
        inside = mask[:, y : y + rows, x : x + columns]
    elif one.area is not None:
        inside = inside * _faded(rows, y, height)[:, None] * _faded(columns, x, width)
    whole = np.zeros((batch, height, width), np.float32)
    whole[:, y : y + rows, x : x + columns] = inside * one.strength
    if (rows, columns) == (height, width):
        return whole, None
    first = np.tile(np.int32([y, x]), (batch, 1))
    return whole, Area(first, np.zeros((batch, rows, columns), np.float32))


def _box(area: tuple[float, ...], height: int, width: int) -> tuple[int, int, int, int]:
    if all(isinstance(one, int) for one in area):
        return area
    sides = (height, width, height, width)
    rows, columns, y, x = (round(one * side) for one, side in zip(area, sides, strict=True))
    return max(1, rows), max(1, columns), y, x


def _bounds(mask: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """The box around what is not 0 in any of the masks, 8 by 8 at least."""
    y, x = np.nonzero(np.abs(mask).max(axis=0))
    if not len(y):
        return min(8, height), min(8, width), 0, 0
    return max(8, int(np.ptp(y)) + 1), max(8, int(np.ptp(x)) + 1), int(y.min()), int(x.min())


def _faded(length: int, first: int, whole: int) -> np.ndarray:
    """Weights along a side of an area, which rise from edges that are not those of the picture."""
    ramp = np.ones(length, np.float32)
    edge = np.arange(1, min(EDGE, length) + 1, dtype=np.float32) / EDGE
    if first > 0:
        ramp[: len(edge)] *= edge
    if first + length < whole:
        ramp[::-1][: len(edge)] *= edge
    return ramp
