"""Pictures with their edges, for a ControlNet: as they are, and turned, moved and mirrored.

The built-in model has seen each glyph in one place only. It can draw a glyph in another place only
if it follows the edges.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from emoji.captions import stable_seed
from emoji.folders import Row
from jaxsd.hints import canny

POSED = 0.6
"""Share of pictures in a random pose."""
TURN = math.radians(25)
ZOOM = (0.55, 1.1)
SHIFT = 20
"""Pixels to each side."""
SHARES = {"known": 0.6, "composed": 0.15, "other": 0.25}
STRANGE_PERCENT = 10
"""Of the objects that the model has no captions for: kept for the evaluation."""


class Pose(NamedTuple):
    """Where the middle of a picture goes."""

    mirrored: bool
    turn: float  # radians, clockwise
    zoom: float
    shift: tuple[float, float]  # pixels to the right and down


def random_pose(rng: np.random.Generator) -> Pose:
    """A random pose within `TURN`, `ZOOM` and `SHIFT`."""
    return Pose(
        bool(rng.random() < 0.5),
        float(rng.uniform(-TURN, TURN)),
        float(rng.uniform(*ZOOM)),
        tuple(rng.uniform(-SHIFT, SHIFT, 2).tolist()),
    )


def posed(image: np.ndarray, pose: Pose) -> np.ndarray:
    """The picture [H, W, 3] uint8 in a pose; pixels from outside have its corner's colour."""
    height, width, _ = image.shape
    middle = np.array([width, height]) / 2
    cos, sin = math.cos(pose.turn) / pose.zoom, math.sin(pose.turn) / pose.zoom
    back = np.array([[cos, sin], [-sin, cos]])  # where a pixel of the result comes from
    if pose.mirrored:
        back[0] *= -1
    start = middle - back @ (middle + pose.shift)
    moved = Image.fromarray(image).transform(
        (width, height),
        Image.Transform.AFFINE,
        (*back[0], start[0], *back[1], start[1]),
        Image.Resampling.BICUBIC,
        fillcolor=tuple(image[0, 0].tolist()),
    )
    return np.asarray(moved)


def is_strange(row: Row) -> bool:
    """Whether an object that the model has no captions for is kept for the evaluation."""
    return stable_seed("strange", row.object) % 100 < STRANGE_PERCENT


def sources(train: Sequence[Row], gallery: Sequence[Row]) -> dict[str, list[Row]]:
    """The pictures whose edges are taken, by the names of `SHARES`."""
    own = {row.object for row in train}
    alone = {"plain", "background"}
    return {
        "known": [row for row in train if row.template in alone],
        "composed": [row for row in train if row.template not in alone],
        "other": [row for row in gallery if row.object not in own and not is_strange(row)],
    }


def choice(rows: dict[str, list[Row]], number: int) -> tuple[Row, Pose | None]:
    """The picture of that number, always the same one."""
    rng = np.random.default_rng([stable_seed("edges"), number])
    kind = rng.choice(list(SHARES), p=list(SHARES.values()))
    row = rows[kind][rng.integers(len(rows[kind]))]
    return row, random_pose(rng) if rng.random() < POSED else None


def save_with_edges(folder: Path, number: int, row: Row, pose: Pose | None) -> dict[str, str]:
    """Writes a picture and its edges; returns their line of metadata.jsonl."""
    image = np.asarray(Image.open(row.path).convert("RGB"))
    image = image if pose is None else posed(image, pose)
    names = {
        "file_name": f"{number:05d}.png",
        "conditioning_image_file_name": f"{number:05d}-edges.png",
    }
    for name, pixels in zip(names.values(), (image, canny(image)), strict=True):
        Image.fromarray(pixels).save(folder / name)
    return names | {"text": row.text}
