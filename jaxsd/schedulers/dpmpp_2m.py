"""DPM-Solver++ 2M (Lu et al. 2022, "DPM-Solver++", algorithm 2)."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, tabulate
from jaxsd.types import Prediction


def dpmpp_2m(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """Second-order multistep in half log-SNR; first and, where `first_order` says so, last step are
    of first order.

    x' = (sigma'/sigma)*x - alpha'*(exp(-h) - 1)*D,  D = (1 + 1/(2r))*m0 - 1/(2r)*m1.
    """
    h = np.diff(grid.half_log_snr)
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = grid.sigma[1:] / grid.sigma[:-1]
    weight = -grid.alpha[1:] * np.expm1(-h)
    rows.history[:, 0, :2] = weight[:, None] * extrapolation(h, first_order_rows(grid))
    return tabulate(prediction, rows, **grid._asdict())


def extrapolation(h: np.ndarray, first_order: np.ndarray) -> np.ndarray:
    """Weights of the newest two predictions in D, [n, 2].

    Args:
      h: steps in half log-SNR, [n]; the last may be infinite if its row is of first order.
      first_order: rows that use the newest prediction alone, [n] bool.
    """
    second = np.zeros(len(h))
    second[1:] = np.where(first_order[1:], 0, 0.5 * np.where(first_order, 0, h)[1:] / h[:-1])
    return np.stack([1 + second, -second], axis=-1)


def first_order_rows(grid: Grid) -> np.ndarray:
    """Rows of a second-order multistep method that take one order less, [n] bool.

    The first has no history. The last is tamed where it goes to sigma 0 or where the steps are few
    (fewer than 15: the authors' code, "lower_order_final").
    """
    i = np.arange(grid.steps)
    tame_last = grid.sigma[-1] == 0 or grid.steps < 15
    return (i == 0) | (tame_last & (i == grid.steps - 1))
