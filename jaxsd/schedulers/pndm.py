"""PNDM without its Runge-Kutta start, called PLMS (Liu et al. 2022, "Pseudo numerical methods").

The multistep half of the paper with the start of the CompVis code: the first interval is crossed
twice, the second time with the mean of the predictions at its ends. n > 1 steps take n+1 calls.
"""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, keep_noise, tabulate
from jaxsd.types import Prediction

ADAMS_BASHFORTH = (
    (1,),
    (1 / 2, 1 / 2),
    (3 / 2, 0, -1 / 2),
    (23 / 12, -16 / 12, 0, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, 0, -9 / 24),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Weights of the predictions, newest first, in call 0, 1, ...; all further calls use the last row.
Call 1 repeats the first interval, so later calls skip its prediction: the zeros."""


def pndm(
    schedule: NoiseSchedule,
    grid: Grid,
    prediction: Prediction,
    *,
    blend: str = "output",
) -> Tableau:
    """Adams-Bashforth of order 4 on the noise prediction, with DDIM's update of the sample.

    With v-prediction, `blend="output"` mixes the network's raw outputs and converts the mixture to
    noise at the current level, as diffusers does. They belong to different levels, so that is only
    approximately PLMS; `blend="noise"` converts each at its own level and is consistent.

    Raises:
      ValueError: if `blend` is neither, or if the grid begins at alpha 0, where noise predictions
        do not determine x0.
    """
    if blend not in ("output", "noise"):
        raise ValueError(f"blend {blend!r} is unknown: choose output or noise")
    if grid.alpha[0] == 0:
        raise ValueError("pndm cannot begin at zero terminal SNR: use ddim, or leading spacing")
    # Call i is made at level at[i] and moves sample z[source[i]], of level begin[i], one level on.
    calls = np.arange(grid.steps + (grid.steps > 1))  # with one step there is no interval to redo
    at = np.where(calls > 1, calls - 1, calls)
    begin, source = np.where(calls == 1, 0, at), np.where(calls == 1, 1, 0)
    alpha, sigma = grid.alpha[begin], grid.sigma[begin]
    alpha_next, sigma_next = grid.alpha[begin + 1], grid.sigma[begin + 1]
    scale, slope = alpha_next / alpha, sigma_next - alpha_next * sigma / alpha

    rows = blank(len(calls))
    for i in calls:
        weights = ADAMS_BASHFORTH[min(i, len(ADAMS_BASHFORTH) - 1)]
        rows.history[i, 0, : len(weights)] = slope[i] * np.array(weights)
    rows.samples[calls, 0, source] = scale
    rows.samples[0, 1, 0] = 1  # z[1] is the first sample, for call 1

    visited = grid.visiting(np.append(at, grid.steps))
    keep = keep_noise(visited.alpha[:-1], visited.sigma[:-1])
    tableau = tabulate(prediction, rows, **visited._asdict(), keep=keep)
    if prediction == "v" and blend == "output":
        # noise = alpha*v + sigma*x, with the alpha, sigma and x of the interval's beginning.
        tableau.samples[calls, 0, source] += slope * sigma
        tableau.history[:] *= alpha[:, None, None]
        tableau.keep[:] = keep_v(visited.alpha[:-1], visited.sigma[:-1])
    return tableau


def keep_v(alpha: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """`keep` of a history of v = (alpha*z - x0)/sigma, [S, 2]."""
    return np.stack([alpha / sigma, -1 / sigma], axis=-1)
