"""The columns of features, made on the host: one function for each column of the table's rows."""

from collections.abc import Callable, Sequence

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.schedulers import Tableau
from jaxsd.schedulers.guidance import plus_plus
from jaxsd.settings import OPTIONS, Settings, scale_of

Column = Callable[[ModelSpec, Settings, Tableau], np.ndarray | None]
"""(spec, settings, tableau of S rows) -> [S, ...] of one image; None where the feature is absent.

Images of one call agree on what is absent (`jaxsd.settings.Bucket`).
"""


def blend(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """Weights of the source and the noise after each row, and a 1: [S, 3].

    The last row ends on the source itself.
    """
    if not settings.paints or has_mask_channels(spec):
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


def freeu(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """Factors of backbone and skips for two stages, and the version, [S, 5]."""
    if settings.freeu == OPTIONS["freeu"].default:
        return None
    return _repeated(tableau, *settings.freeu, settings.freeu_version)


def threshold(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """Percentile and range of dynamic thresholding, [S, 2]."""
    percentile, limit = settings.dynamic_thresholding
    return _repeated(tableau, percentile, limit) if limit else None


def mimic(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """The mimic scale over the guidance scale, and the percentile, [S, 2]."""
    scale, percentile = settings.mimic_scale
    return _repeated(tableau, scale / scale_of(settings), percentile) if scale else None


def apg(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """Guidance scale, eta, largest length and momentum, [S, 4]."""
    if settings.apg == OPTIONS["apg"].default:
        return None
    return _repeated(tableau, scale_of(settings), *settings.apg)


def cfg_zero(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """Guidance scale, and 0 in the first rows, then 1: [S, 2]."""
    if settings.cfg_zero < 0:
        return None
    column = _repeated(tableau, scale_of(settings), 1)
    column[: settings.cfg_zero, 1] = 0
    return column


def momentum(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """The share of the guidance of the row before that CFG++ adds, [S]; 0 with Euler's method."""
    return plus_plus(tableau)[1].astype(np.float32) if settings.cfg_pp else None


COLUMNS: dict[str, Column] = {
    "apg": apg,
    "blend": blend,
    "cfg_zero": cfg_zero,
    "controlnet": controlnet,
    "freeu": freeu,
    "mimic": mimic,
    "momentum": momentum,
    "rescale": rescale,
    "threshold": threshold,
}
"""Column -> the function that makes it. A column has the name of its feature."""

GUIDED = ("apg", "cfg_zero", "mimic", "momentum")
"""Columns for runs of rows that have a negative prompt's branch alone."""


def columns_of(
    spec: ModelSpec, settings: Sequence[Settings], tableaus: Sequence[Tableau]
) -> dict[str, np.ndarray]:
    """All columns of a batch, [S, B, ...]; in idle rows as in the last one, but for blending."""
    count = max(tableau.rows for tableau in tableaus)
    found = {}
    for name, column in COLUMNS.items():
        images = [column(spec, *image) for image in zip(settings, tableaus, strict=True)]
        if images[0] is not None:
            longer = idle if name == "blend" else lengthened
            found[name] = np.stack([longer(rows, count) for rows in images], axis=1)
    return found


def idle(rows: np.ndarray, count: int) -> np.ndarray:
    """Pads [S, ...] to `count` rows with zeros."""
    return np.concatenate([rows, np.zeros((count - len(rows), *rows.shape[1:]), rows.dtype)])


def lengthened(rows: np.ndarray, count: int) -> np.ndarray:
    """Pads [S, ...] to `count` rows by repeating the last one."""
    return np.concatenate([rows, np.repeat(rows[-1:], count - len(rows), axis=0)])


def _repeated(tableau: Tableau, *values: float) -> np.ndarray:
    """The same values in each row, [S, n]."""
    return np.tile(np.float32(values), (tableau.rows, 1))


def has_mask_channels(spec: ModelSpec) -> bool:
    """Whether the U-Net takes a mask and a masked picture besides the latents."""
    return spec.unet.in_channels == 2 * spec.unet.out_channels + 1
