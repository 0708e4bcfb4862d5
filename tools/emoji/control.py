"""How well a model with a ControlNet for edges follows them.

The model is a function (prompts, seeds, hints or None), as in `emoji.evaluation`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emoji.captions import stable_seed
from emoji.evaluation import FIRST_SEED, Score, asked
from emoji.folders import Row, read_images, read_rows
from emoji.metrics import edge_agreement, has_colours
from emoji.poses import is_strange, posed, random_pose
from jaxsd.hints import canny

Control = Callable[[list[str], list[int], np.ndarray | None], np.ndarray]
"""(N prompts, N seeds, uint8 [N, 128, 128, 3] edges or None) -> uint8 [N, 128, 128, 3]."""


class Questions(NamedTuple):
    """Pictures whose edges the model is to draw."""

    name: str
    rows: list[Row]
    images: np.ndarray  # [N, 128, 128, 3] uint8


def edge_questions(dataset: Path, count: int) -> list[Questions]:
    """`count` pictures of each of three kinds, none of which was trained on.

    Held-out pairs of a glyph and a background; the same turned, moved and mirrored, which no prompt
    alone can give; glyphs of objects that neither the model nor its ControlNet knows.
    """
    held = [row for row in read_rows(dataset / "heldout") if row.template == "background"]
    own = {row.object for row in read_rows(dataset / "train")}
    gallery = read_rows(dataset / "gallery")
    strange = [row for row in gallery if row.object not in own and is_strange(row)]
    known, others = asked(held, count), asked(strange, count)
    images = read_images(known)
    moved = [_moved(row, image) for row, image in zip(known, images, strict=True)]
    return [
        Questions("edges, in place", known, images),
        Questions("edges, moved", known, np.stack(moved)),
        Questions("edges, strange objects", others, read_images(others)),
    ]


def _moved(row: Row, image: np.ndarray) -> np.ndarray:
    return posed(image, random_pose(np.random.default_rng([stable_seed("moved", row.text)])))


def agreement(images: np.ndarray, hints: np.ndarray) -> float:
    """Mean of `edge_agreement` over pictures [N, 128, 128, 3] uint8."""
    pairs = zip(images, hints, strict=True)
    return float(np.mean([edge_agreement(image, hint) for image, hint in pairs]))


def score_edges(control: Control, questions: Sequence[Questions]) -> list[Score]:
    """Edge agreement with and without the hint, and right backgrounds, for the same seeds."""
    scores = []
    for name, rows, images in questions:
        hints = np.stack([canny(image) for image in images])
        prompts = [row.text for row in rows]
        seeds = [FIRST_SEED + i for i in range(len(rows))]
        drawn, free = control(prompts, seeds, hints), control(prompts, seeds, None)
        # A moved picture may have no background at its frame: then it does not count here.
        plain = [has_colours(x, None, r.background) for x, r in zip(images, rows, strict=True)]
        grounds = [has_colours(x, None, r.background) for x, r in zip(drawn, rows, strict=True)]
        scores += [
            Score(f"{name}: agreement with the hint", len(rows), agreement(drawn, hints)),
            Score(f"{name}: agreement without it", len(rows), agreement(free, hints)),
            Score(f"{name}: background", sum(plain), float(np.mean(np.array(grounds)[plain]))),
        ]
    return scores
