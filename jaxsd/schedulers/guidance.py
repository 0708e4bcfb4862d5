"""Guidance as columns beside a sampler's table: the text that each branch sees, and its weight.

A network call has K branches for each image. Their outputs are combined as

    output = branch[0] + sum_k weight[k] * (branch[k] - branch[0])

so that the weights of all branches add up to 1: branch 0 has the rest.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxsd.schedulers.tableau import Tableau

PERTURBATIONS = ("pag", "seg", "sag")
"""Features that perturb the network of an image's last branch, to guide away from it."""


class Guidance(NamedTuple):
    """The branches of an image in every row of its table."""

    which: np.ndarray  # [S, K] int32, number of the text that a branch sees
    weight: np.ndarray  # [S, K-1] float32, of (branch k - branch 0), k = 1..K-1


class Run(NamedTuple):
    """Consecutive rows in which the same branches count."""

    first: int
    end: int
    live: tuple[int, ...]  # numbers of the branches whose weight is not 0 for every image


def unguided(rows: int) -> Guidance:
    """One branch, which sees text 0."""
    return Guidance(np.zeros((rows, 1), np.int32), np.zeros((rows, 0), np.float32))


def classifier_free(scale: float, rows: int, interval: Sequence[float] = (0.0, 1.0)) -> Guidance:
    """Classifier-free guidance (Ho and Salimans 2022, equation 6, but 1 means no guidance).

    Text 0 is the negative prompt, text 1 the prompt.

    Args:
      scale: weight of (prompt - negative prompt).
      rows: rows of the table.
      interval: part of the way from noise (0) to picture (1) that is guided (Kynkaanniemi et al.
        2024); outside of it only the prompt counts.

    Raises:
      ValueError: see `guided_rows`.
    """
    return composed((1.0,), scale, rows, interval)


def composed(
    weights: Sequence[float], scale: float, rows: int, interval: Sequence[float] = (0.0, 1.0)
) -> Guidance:
    """Guidance by several prompts (Liu et al. 2022, "Compositional Visual Generation").

    Text 0 is the negative prompt; text k has weight `scale * weights[k - 1]`, outside of the
    interval without the scale. Other arguments are those of `classifier_free`.

    Raises:
      ValueError: see `guided_rows`.
    """
    first, end = guided_rows(interval, rows)
    weight = np.tile(np.float32(weights), (rows, 1))
    weight[first:end] *= np.float32(scale)
    return Guidance(np.tile(np.arange(len(weights) + 1, dtype=np.int32), (rows, 1)), weight)


def perturbed(guidance: Guidance, scale: float, of: int, rows: tuple[int, int]) -> Guidance:
    """Guidance away from a branch more, the last one, whose network is perturbed.

    It adds `scale * (branch[of] - perturbed branch)` (Ahn et al. 2024, PAG, equation 15).

    Args:
      guidance: of one image.
      scale: of what is added.
      of: number of the branch that is perturbed; both see the same text.
      rows: first row, and the one after the last, in which this is done.
    """
    added = np.zeros((len(guidance.which), 1), np.float32)
    added[slice(*rows)] = scale
    weight = guidance.weight.copy()
    if of > 0:
        weight[:, of - 1 : of] += added
    which = np.concatenate([guidance.which, guidance.which[:, of : of + 1]], axis=1)
    return Guidance(which, np.concatenate([weight, -added], axis=1))


def plus_plus(tableau: Tableau) -> tuple[np.ndarray, np.ndarray]:
    """CFG++ (Chung et al. 2024, algorithm 2) by guidance alone: two factors for each row, [S] each.

    It steps to the guided x0 = u + w*(c - u), but with the noise that belongs to the unguided u.
    For a row z' = A*z + H*m[0] + L*m[1] that is

        z' = A*z + (H + A*alpha)*x0 - A*alpha*u + L*(u of the row before)

    and the row does it by itself if its x0 is u + g with

        g = (H + A*alpha)/H * w*(c - u) - L/H * (g of the row before)

    The factors are those of w and of the earlier g. These are ComfyUI's `euler_cfg_pp`,
    `euler_ancestral_cfg_pp` and `dpmpp_2m_cfg_pp`.

    Raises:
      ValueError: the method reads more than two predictions or another sample.
    """
    a, h, before = tableau.samples[:, 0, 0], tableau.history[:, 0, 0], tableau.history[:, 0, 1]
    if (
        tableau.samples[:, 0, 1:].any()
        or tableau.history[:, 0, 2:].any()
        or (tableau.keep != [0, 1]).any()
        or (h == 0).any()
    ):
        raise ValueError(
            "cfg_pp is for samplers that keep at most two predictions, such as euler, euler_a, "
            "ddim or dpm++_2m"
        )
    return 1 + a * tableau.alpha[:-1] / h, -before / h


def shown(guidance: Guidance, scale: float, interval: Sequence[float] = (0.0, 1.0)) -> Guidance:
    """Guidance by a picture too (Brooks et al. 2023, equation 3): a branch 0 that does not see it.

    All others see the picture. Text k + 1 takes the place of text k; text 0 is the negative prompt
    without the picture.

    Args:
      guidance: by the prompts, from `composed`.
      scale: of the picture, in the interval.
      interval: as for `composed`.
    """
    rows = len(guidance.which)
    first, end = guided_rows(interval, rows)
    whole = np.ones((rows, 1), np.float32)
    whole[first:end] = scale
    rest = whole - guidance.weight.sum(axis=1, keepdims=True)
    which = np.concatenate([np.zeros((rows, 1), np.int32), guidance.which + 1], axis=1)
    return Guidance(which, np.concatenate([rest, guidance.weight], axis=1))


def preceded(guidance: Guidance, rows: int) -> Guidance:
    """Guidance behind rows of one branch: branch 1, or the only one; which text it sees is open."""
    which, weight = (np.pad(column, ((rows, 0), (0, 0))) for column in guidance)
    weight[:rows, :1] = 1
    return Guidance(which, weight)


def guided_rows(interval: Sequence[float], rows: int) -> tuple[int, int]:
    """First guided row and the one after the last, of `rows`, for an interval in [0, 1].

    Raises:
      ValueError: not two numbers in order within 0 to 1.
    """
    first, end = interval if len(interval) == 2 else (math.nan, math.nan)
    if not 0 <= first <= end <= 1:
        raise ValueError(f"interval {tuple(interval)} is not (FROM, TO) with 0 <= FROM <= TO <= 1")
    return round(first * rows), round(end * rows)


def together(images: Sequence[Guidance], last: int = 0) -> Guidance:
    """The columns of a batch, all of S rows: `which` [S, B, K] and `weight` [S, B, K-1].

    An image with fewer branches than others gets copies of one, of weight 0, in front of the last
    `last` branches, which are perturbed.
    """
    most = max(image.which.shape[1] for image in images)

    def widened(columns: np.ndarray, missing: int, mode: str) -> np.ndarray:
        end = columns.shape[1] - last
        return np.hstack([np.pad(columns[:, :end], ((0, 0), (0, missing)), mode), columns[:, end:]])

    missing = [most - image.which.shape[1] for image in images]
    pairs = list(zip(images, missing, strict=True))
    which = [widened(image.which, more, "edge") for image, more in pairs]
    weight = [widened(image.weight, more, "constant") for image, more in pairs]
    return Guidance(np.stack(which, axis=1), np.stack(weight, axis=1))


def runs(guidance: Guidance, *, last_needs_first: bool = False) -> list[Run]:
    """The rows of a batch in runs, without branches whose weight is 0 for every image.

    Args:
      guidance: a result of `together`.
      last_needs_first: whether the last branch is made of branch 0, as with SAG.
    """
    weight = guidance.weight
    all_weights = np.concatenate([1 - weight.sum(axis=-1, keepdims=True), weight], axis=-1)
    counts = (all_weights != 0).any(axis=1)  # [S, K]
    if last_needs_first:
        counts[:, 0] |= counts[:, -1]
    edges = np.flatnonzero((counts[1:] != counts[:-1]).any(axis=1)) + 1
    bounds = [0, *edges.tolist(), len(counts)]
    return [
        Run(first, end, tuple(np.flatnonzero(counts[first]).tolist()))
        for first, end in itertools.pairwise(bounds)
    ]


def live(guidance: Guidance, run: Run) -> Guidance:
    """The rows and the live branches of a run; the first live one takes the place of branch 0."""
    branches = list(run.live)
    rows = slice(run.first, run.end)
    later = [branch - 1 for branch in branches[1:]]
    return Guidance(guidance.which[rows][:, :, branches], guidance.weight[rows][:, :, later])


def refreshed_rows(period: int, rows: int) -> np.ndarray:
    """The rows of a run that compute DeepCache's deep features, [rows] bool: every `period`-th.

    A run begins with a refresh, since features of other branches are of no use to it.
    """
    return np.arange(rows) % period == 0
