"""UniPC (Zhao et al. 2023, "UniPC: a unified predictor-corrector framework")."""

import math

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, check_order, tabulate
from jaxsd.types import Prediction

B = {"bh1": lambda h: h, "bh2": np.expm1}
"""The paper's two choices of B(h)."""


def unipc(
    schedule: NoiseSchedule,
    grid: Grid,
    prediction: Prediction,
    *,
    order: int = 2,
    variant: str = "bh2",
) -> Tableau:
    """Multistep UniPC of order 1..3 for data prediction, with B(h) = exp(h) - 1, or h with "bh1".

    The call at a level first corrects the sample there (UniC), without another call, and predicts
    the next one from the corrected (UniP). z[1] is the corrected sample of the level before. In the
    first and the last steps, the number of levels behind or ahead limits the order.
    """
    check_order("unipc", order, 3)
    if variant not in B:
        raise ValueError(f"variant {variant!r} is unknown: choose one of {', '.join(B)}")
    rows = blank(grid.steps)
    orders = [min(order, i + 1, grid.steps - i) for i in range(grid.steps)]
    for i in range(grid.steps):
        corrected, corrected_of_m = np.array([1.0, 0.0]), np.zeros(rows.history.shape[-1])
        if i > 0:  # from level i-1, with the levels behind it and the newest prediction, of level i
            behind = [i - 1 - k for k in range(1, orders[i - 1])]
            of_x, of_m, of_others = unified_step(grid, i - 1, i, [i, *behind], variant)
            corrected = np.array([0.0, of_x])
            corrected_of_m[: len(behind) + 2] = of_others[0], of_m, *of_others[1:]
        behind = [i - k for k in range(1, orders[i])]
        of_x, of_m, of_others = unified_step(grid, i, i + 1, behind, variant)
        rows.samples[i] = of_x * corrected, corrected
        rows.history[i] = of_x * corrected_of_m, corrected_of_m
        rows.history[i, 0, : orders[i]] += of_m, *of_others
    return tabulate(prediction, rows, **grid._asdict())


def unified_step(
    grid: Grid, begin: int, end: int, others: list[int], variant: str
) -> tuple[float, float, np.ndarray]:
    """Weights of x, of its prediction m and of other levels' predictions in a step (eq. 3).

    x' = (sigma'/sigma)*x - alpha'*((exp(-h) - 1)*m + B(-h)*sum_k a_k*(m_k - m)/r_k)

    Args:
      grid: the levels.
      begin: level of x.
      end: level of x'; for a corrector it is one of `others` too.
      others: levels whose predictions m_k raise the order; r_k is how far along the step they lie.
      variant: a name of `B`.
    """
    half_log_snr = grid.half_log_snr
    h = half_log_snr[end] - half_log_snr[begin]
    r = (half_log_snr[others] - half_log_snr[begin]) / h
    weight = -grid.alpha[end] * np.expm1(-h)
    of_others = -grid.alpha[end] * B[variant](-h) * coefficients(r, -h, variant) / r
    return grid.sigma[end] / grid.sigma[begin], weight - of_others.sum(), of_others


def coefficients(r: np.ndarray, h: float, variant: str) -> np.ndarray:
    """The a_k of the order conditions (theorem 3.1), [len(r)].

    sum_k r_k^(j-1)*a_k = j!*h*phi_{j+1}(h)/B(h) for j = 1, ..., len(r)

    A single one is 1/2 for every h, which meets its condition to the order needed.
    """
    if len(r) < 2:
        return np.full(len(r), 0.5)
    phi, conditions = np.expm1(h) / h, []
    for j in range(1, len(r) + 1):
        phi = (phi - 1 / math.factorial(j)) / h  # phi_{j+1}(h)
        conditions.append(math.factorial(j) * h * phi / B[variant](h))
    return np.linalg.solve(np.vander(r, increasing=True).T, conditions)
