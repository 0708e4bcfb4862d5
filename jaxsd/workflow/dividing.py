"""Texts for parts of a picture: masks and areas of conditions."""

from dataclasses import replace

import numpy as np

from jaxsd.sampling.features.areas import Area, Areas
from jaxsd.workflow.arrays import Sides, repeated
from jaxsd.workflow.resizing import resized
from jaxsd.workflow.values import Condition, Guider

Box = tuple[int, int, int, int]
"""Height, width, y and x in latents."""
EDGE = 8
"""Latents over which the edge of an area fades; a quarter of a side that has fewer than 32."""


def areas_of(sides: Sides, batch: int, height: int, width: int) -> Areas:
    """Masks and areas of all branches, for latents of a size."""
    made = [_area_of(one, batch, height, width) for one in sides.branches]
    masks, areas = zip(*made, strict=True)
    return Areas(np.stack(masks, axis=1)[..., None], tuple(areas))


def opposed(guider: Guider, height: int, width: int) -> Guider:
    """The guider with a text on each side for every area that another one has.

    It is the side's text for the smallest area that has the other one inside, or else its first
    one for the whole picture; all but the text is that of the other side.
    """
    made = [[*side] for side in (guider.positive, guider.middle, guider.negative)]
    for own in made:
        for one in own:
            if (box := _box_of(one, height, width)) is None:
                continue
            for other in made:
                around = [(x, _box_of(x, height, width)) for x in other]
                if other is not own and (text := _around(box, around)) is not None:
                    other.append(_with_text(one, text))
    positive, middle, negative = map(tuple, made)
    return replace(guider, positive=positive, middle=middle, negative=negative)


def _around(box: Box, texts: list[tuple[Condition, Box | None]]) -> Condition | None:
    """The text that is made one for the area; None where there is none, or it is one already."""
    areas = [(text, own) for text, own in texts if own is not None and _holds(own, box)]
    if areas:
        text, own = min(areas, key=lambda one: one[1][0] * one[1][1])
        return None if own == box else text
    return next((text for text, own in texts if own is None), None)


def _holds(outer: Box, inner: Box) -> bool:
    return all(
        outer[2 + i] <= inner[2 + i] and inner[i] + inner[2 + i] <= outer[i] + outer[2 + i]
        for i in (0, 1)
    )


def _with_text(one: Condition, text: Condition) -> Condition:
    return replace(
        one,
        context=text.context,
        pooled=text.pooled,
        sizes=text.sizes,
        concat=text.concat,
        seen=text.seen,
    )


def _area_of(one: Condition, batch: int, height: int, width: int) -> tuple[np.ndarray, Area | None]:
    """The mask [B, h, w] of a condition, and its area."""
    rows, columns, y, x = _box_of(one, height, width) or (height, width, 0, 0)
    mask = None
    if one.mask is not None:
        mask = repeated(_resized(one.mask, height, width), batch) * one.mask_strength
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


def _box_of(one: Condition, height: int, width: int) -> Box | None:
    """The area that the U-Net sees; None for everywhere."""
    if one.mask is not None and one.bounds:
        return _bounds(_resized(one.mask, height, width), height, width)
    return None if one.area is None else _box(one.area, height, width)


def _resized(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    return resized(mask[..., None], height, width, "bilinear")[..., 0]


def _box(area: tuple[float, ...], height: int, width: int) -> Box:
    if all(isinstance(one, int) for one in area):
        return area
    sides = (height, width, height, width)
    rows, columns, y, x = (round(one * side) for one, side in zip(area, sides, strict=True))
    return max(1, rows), max(1, columns), y, x


def _bounds(mask: np.ndarray, height: int, width: int) -> Box:
    """The box around what is not 0 in any of the masks, 8 by 8 at least."""
    y, x = np.nonzero(np.abs(mask).max(axis=0))
    if not len(y):
        return min(8, height), min(8, width), 0, 0
    return max(8, int(np.ptp(y)) + 1), max(8, int(np.ptp(x)) + 1), int(y.min()), int(x.min())


def _faded(length: int, first: int, whole: int) -> np.ndarray:
    """Weights along a side of an area, which rise from edges that are not those of the picture."""
    ramp = np.ones(length, np.float32)
    steps = min(EDGE, length // 4)
    edge = np.arange(1, steps + 1, dtype=np.float32) / max(steps, 1)
    if first > 0:
        ramp[: len(edge)] *= edge
    if first + length < whole:
        ramp[::-1][: len(edge)] *= edge
    return ramp
