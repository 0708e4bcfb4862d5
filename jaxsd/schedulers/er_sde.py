"""ER-SDE-Solver (Cui et al. 2023, "Elucidating the solution space of extended reverse SDE")."""

from collections.abc import Callable

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, check_order, tabulate
from jaxsd.types import Prediction

POINTS = 200
"""Of the sums that stand for integrals, as in the authors' code."""


def er_sde(
    schedule: NoiseSchedule, grid: Grid, prediction: Prediction, *, order: int = 3
) -> Tableau:
    """Taylor's series of x0 in sigma, with `order` (1..3) terms, for the noise scale f.

    x' = r*x + (1 - r)*m0 + (h + s*f')*D1 + (h^2/2 + u*f')*D2 + noise (algorithms 1 to 3)

    r is f'/f, h is sigma' - sigma, s the integral of 1/f over the step, u that of (t - sigma)/f(t).
    D1 and D2 are the slope and the curvature of the last three predictions.
    """
    return er_sde_of(grid, prediction, noise_scale, order)


def er_sde_of(
    grid: Grid, prediction: Prediction, scale: Callable[[np.ndarray], np.ndarray], order: int = 3
) -> Tableau:
    """The same for any noise scale f, which has to rise with sigma at least as sigma does."""
    check_order("er_sde", order, 3)
    sigma, f = grid.noise_to_signal, scale(grid.noise_to_signal)
    r = f[1:] / f[:-1]
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = r
    rows.history[:, 0, 0] = 1 - r
    rows.noise[:, 0] = np.sqrt(np.maximum(sigma[1:] ** 2 - (sigma[:-1] * r) ** 2, 0))
    slope = np.zeros(3)
    for i in range(1, grid.steps):
        before, slope = np.roll(slope, 1), (np.eye(3)[0] - np.eye(3)[1]) / (sigma[i] - sigma[i - 1])
        if sigma[i + 1] == 0:
            continue
        h = sigma[i + 1] - sigma[i]
        step = -h / POINTS
        t = sigma[i + 1] + step * np.arange(POINTS)
        if order >= 2:
            s = (1 / scale(t)).sum() * step
            rows.history[i, 0, :3] += (h + s * f[i + 1]) * slope
        if order >= 3 and i >= 2:
            u = ((t - sigma[i]) / scale(t)).sum() * step
            curvature = (slope - before) / ((sigma[i] - sigma[i - 2]) / 2)
            rows.history[i, 0, :3] += (h**2 / 2 + u * f[i + 1]) * curvature
    return tabulate(prediction, rows, **grid.unscaled._asdict())


def noise_scale(sigma: np.ndarray) -> np.ndarray:
    """f(sigma) = sigma*(exp(sigma^0.3) + 10), the paper's choice of how much noise is renewed."""
    return sigma * (np.exp(sigma**0.3) + 10)
