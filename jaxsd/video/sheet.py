"""The contact sheet of a video: its key frames, and below them what the sound does."""

import itertools
from collections.abc import Sequence

import numpy as np

from jaxsd.images import GAP, labelled_sheet
from jaxsd.video.plan import Plan

MOST = 10
"""Key frames side by side."""
HIGH = 48
"""Pixels of a band below."""
_SOUND, _DRIVE, _MARK = (90, 90, 90), (208, 96, 32), (40, 110, 200)


def shown_frames(plan: Plan) -> tuple[int, ...]:
    """The frames of the sheet: all those at key frames, or some of them."""
    every = -(-len(plan.shown) // MOST)
    return plan.shown[::every]


def video_sheet(plan: Plan, images: Sequence[np.ndarray]) -> np.ndarray:
    """The frames of `shown_frames`, uint8 [H, W, 3] each, with their times, and bands below.

    The bands have the sound's peaks and each drive; lines are where the frames are.
    """
    fps, numbers = plan.config.fps, shown_frames(plan)
    sheet = labelled_sheet(images, [f"{number / fps:.2f} s" for number in numbers])
    if plan.sound is None:
        return sheet
    width = sheet.shape[1] - 2 * GAP
    length = len(plan.frames) / fps
    peaks = _peaks(plan.sound.mono[: round(length * plan.sound.rate)], width)
    bands = [_band(peaks, _SOUND)]
    for own in plan.driven:
        places = np.arange(width) * len(own) // width
        bands.append(_band(own[places], _DRIVE))
    for band in bands:
        band[:, [number * width // len(plan.frames) for number in numbers]] = _MARK
    gap = np.full((GAP, width, 3), 255, np.uint8)
    below = np.concatenate([part for band in bands for part in (gap, band)] + [gap])
    return np.concatenate([sheet, np.pad(below, ((0, 0), (GAP, GAP), (0, 0)), constant_values=255)])


def _peaks(mono: np.ndarray, width: int) -> np.ndarray:
    """The largest sample for each of some columns; the largest of all is 1."""
    ends = np.linspace(0, len(mono), width + 1).astype(int)
    peaks = np.array(
        [
            np.abs(mono[low : max(high, low + 1)]).max(initial=0)
            for low, high in itertools.pairwise(ends)
        ]
    )
    return peaks / max(peaks.max(), 1e-9)


def _band(heights: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Columns of some heights, 0 to 1, on white, uint8 [HIGH, W, 3]."""
    rows = np.arange(HIGH)[::-1, None]
    filled = rows < np.round(heights * HIGH)
    return np.where(filled[..., None], np.uint8(colour), np.uint8(255))
