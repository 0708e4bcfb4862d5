"""The columns of features, made on the host: one function for each column of the table's rows."""

from collections.abc import Callable, Sequence

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.convert.ip_adapter import cross_attentions
from jaxsd.sampling.features.sag import blur_of
from jaxsd.schedulers import Tableau
from jaxsd.schedulers.guidance import plus_plus
from jaxsd.settings import OPTIONS, Control, Settings, of_drawing, scale_of
from jaxsd.settings.controls import runs_of

Column = Callable[[ModelSpec, Settings, Tableau], np.ndarray | None]
"""(spec, settings, tableau of S rows) -> [S, ...] of one image; None where the feature is absent.

Images of one call agree on what is absent (`jaxsd.settings.Bucket`).
"""


HARD = 2.0**21
"""Gain that makes 0 or 1 of greys, which are 1 / 255 / 1,000 apart from a threshold, or more."""


def blend(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """Weights of the source and the noise after each row, a 1, grey and gain of the mask: [S, 5].

    The last row ends on the source itself. With `differential`, what is painted after row i of S
    are the greys from 1 - i / S on, and after the last row all.
    """
    if not settings.paints or spec.unet.sees == "mask":
        return None
    levels = np.stack([tableau.alpha, tableau.sigma, np.ones_like(tableau.alpha)], axis=-1)
    levels = np.concatenate([levels[1:-1], [[1, 0, 1]]])
    greys = np.tile([0.0, 1.0], (tableau.rows, 1))
    if settings.differential:
        done = np.arange(1, tableau.rows + 1) / tableau.rows
        greys = np.stack([1 - done - 1 / HARD, np.full(tableau.rows, HARD)], axis=-1)
    return np.concatenate([levels, greys], axis=-1).astype(np.float32)


def controlnet(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """The weight of each run of a ControlNet, [S, C]; 1 where several pictures share it."""
    if not settings.control:
        return None
    runs = runs_of(settings.control, at_once=settings.union_at_once)
    first = [settings.control[own[0]] for own in runs]
    alone = [len(own) == 1 for own in runs]
    weights = np.where(alone, [one.weight for one in first], 1).astype(np.float32)
    return _within(first, tableau) * weights


def control_mode(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """Factors for negative prompts, of each skip, and of the middle, [S, 2 + skips].

    webui's fall from the middle outwards by 0.825 a skip, of the 12 that SD 1 has; those of guess
    mode from 1 to 0.1.
    """
    mode, skips = settings.control_mode, len(spec.unet.skip_channels)
    if mode == "balanced":
        return None
    guessing = np.logspace(-1, 0, skips + 1)
    factors = guessing if mode == "guess" else 0.825 ** (12.0 - np.arange(skips + 1))
    return _repeated(tableau, float(mode == "prompt"), *factors)


def ip_adapter(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """The weight of each IP-Adapter in each cross-attention, by their paths' order, [S, A, N]."""
    if not settings.ip_adapter:
        return None
    paths = sorted(path for path, _ in cross_attentions(spec.unet))
    weights = np.float32([one.weights_of(paths) for one in settings.ip_adapter])
    return _within(settings.ip_adapter, tableau)[..., None] * weights


def reference(spec: ModelSpec, settings: Settings, tableau: Tableau) -> np.ndarray | None:
    """The share of the picture in self-attention, [S]."""
    if not settings.reference:
        return None
    return np.full(tableau.rows, settings.reference_strength, np.float32)


def _within(seen: Sequence[Control], tableau: Tableau) -> np.ndarray:
    """1 in the rows that are completely in a range, else 0: [S, N].

    As `control_guidance_start` and `control_guidance_end` of diffusers.
    """
    edges = np.arange(tableau.rows + 1) / tableau.rows
    columns = [(edges[:-1] >= one.first) & (edges[1:] <= one.last) for one in seen]
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
    "control_mode": control_mode,
    "controlnet": controlnet,
    "freeu": freeu,
    "ip_adapter": ip_adapter,
    "mimic": mimic,
    "momentum": momentum,
    "reference": reference,
    "rescale": rescale,
    "threshold": threshold,
}
"""Column -> the function that makes it. A column has the name of its feature."""

GUIDED = ("apg", "cfg_zero", "mimic", "momentum")
"""Columns for runs of rows that have a negative prompt's branch alone."""


def columns_of(
    spec: ModelSpec, settings: Sequence[Settings], tableaus: Sequence[Tableau]
) -> dict[str, np.ndarray]:
    """All columns of a batch, [S, B, ...]; in idle rows as in the last one, but for blending.

    In rows that lead to a picture's noise they are as in the first row of the drawing.
    """
    count = max(tableau.rows for tableau in tableaus)
    drawn = [of_drawing(*image) for image in zip(settings, tableaus, strict=True)]
    found = {}
    for name, column in COLUMNS.items():
        images = [column(spec, *image) for image in zip(settings, drawn, strict=True)]
        if images[0] is not None:
            mode = "constant" if name == "blend" else "edge"
            longer = idle if name == "blend" else lengthened
            images = [
                longer(_preceded(rows, tableau.rows, mode), count)
                for rows, tableau in zip(images, tableaus, strict=True)
            ]
            found[name] = np.stack(images, axis=1)
    return found


def perturbed_column(name: str, settings: Sequence[Settings], rows: int) -> np.ndarray:
    """The column of "pag" or "seg", True [S, B], or of "sag", weights of its blur [S, B, n]."""
    own = [blur_of(one.sag_sigma) if name == "sag" else np.True_ for one in settings]
    return np.stack([own] * rows)


def _preceded(rows: np.ndarray, count: int, mode: str) -> np.ndarray:
    """Pads [S, ...] to `count` rows at the beginning: by zeros, or by the first one."""
    return np.pad(rows, ((count - len(rows), 0), *((0, 0),) * (rows.ndim - 1)), mode)


def idle(rows: np.ndarray, count: int) -> np.ndarray:
    """Pads [S, ...] to `count` rows with zeros."""
    return np.concatenate([rows, np.zeros((count - len(rows), *rows.shape[1:]), rows.dtype)])


def lengthened(rows: np.ndarray, count: int) -> np.ndarray:
    """Pads [S, ...] to `count` rows by repeating the last one."""
    return np.concatenate([rows, np.repeat(rows[-1:], count - len(rows), axis=0)])


def _repeated(tableau: Tableau, *values: float) -> np.ndarray:
    """The same values in each row, [S, n]."""
    return np.tile(np.float32(values), (tableau.rows, 1))


def encodes_picture(spec: ModelSpec, settings: Settings) -> bool:
    """Whether a drawing begins from latents of a picture, or puts them back.

    A model that changes, enlarges or varies a picture sees it, and begins from noise.
    """
    sees = spec.unet.sees in ("picture", "small") or spec.sight is not None
    return bool(settings.image) and (not sees or settings.paints)
