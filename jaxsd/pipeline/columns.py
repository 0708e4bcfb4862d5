"""The columns of features, made on the host: one function for each column of the table's rows."""

from collections.abc import Callable, Sequence

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.schedulers import Tableau
from jaxsd.settings import Settings

Column = Callable[[ModelSpec, Settings, Tableau], np.ndarray | None]
"""(spec, settings, tableau of S rows) -> [S, ...] of one image; None where the feature is absent.

Images of one call agree on what is absent (`jaxsd.settings.Bucket`).
"""


def blend(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """Weights of the source and the noise after each row, and a 1: [S, 3].

    The last row ends on the source itself.
    """
    if not settings.paints or spec.unet.sees == "mask":
        return None
    levels = np.stack([tableau.alpha, tableau.sigma, np.ones_like(tableau.alpha)], axis=-1)
    return np.concatenate([levels[1:-1], [[1, 0, 1]]]).astype(np.float32)


def controlnet(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """The weight of each ControlNet, [S, C]; 0 in rows that are not completely in its range.

    As `control_guidance_start` and `control_guidance_end` of diffusers.
    """
    if not settings.control:
        return None
    edges = np.arange(tableau.rows + 1) / tableau.rows
    columns = [
        np.where((edges[:-1] >= one.first) & (edges[1:] <= one.last), one.weight, 0)
        for one in settings.control
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def rescale(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """The share of guidance rescale, [S]."""
    if settings.guidance_rescale == 0:
        return None
    return np.full(tableau.rows, settings.guidance_rescale, np.float32)


def encodes_picture(spec: ModelSpec, settings: Settings) -> bool:
    """Whether a drawing begins from latents of a picture, or puts them back.

    A model that changes a picture sees it, and begins from noise.
    """
    return bool(settings.image) and (spec.unet.sees != "picture" or settings.paints)


COLUMNS: dict[str, Column] = {"blend": blend, "controlnet": controlnet, "rescale": rescale}
"""Column -> the function that makes it. A column has the name of its feature."""


def columns_of(
    spec: ModelSpec, settings: Sequence[Settings], tableaus: Sequence[Tableau]
) -> dict[str, np.ndarray]:
    """All columns of a batch, [S, B, ...]; 0 in the idle rows of shorter tables."""
    count = max(tableau.rows for tableau in tableaus)
    found = {}
    for name, column in COLUMNS.items():
        images = [column(spec, *image) for image in zip(settings, tableaus, strict=True)]
        if images[0] is not None:
            found[name] = np.stack([idle(rows, count) for rows in images], axis=1)
    return found


def idle(rows: np.ndarray, count: int) -> np.ndarray:
    """Pads [S, ...] to `count` rows with zeros."""
    return np.concatenate([rows, np.zeros((count - len(rows), *rows.shape[1:]), rows.dtype)])


def lengthened(rows: np.ndarray, count: int) -> np.ndarray:
    """Pads [S, ...] to `count` rows by repeating the last one."""
    return np.concatenate([rows, np.repeat(rows[-1:], count - len(rows), axis=0)])
