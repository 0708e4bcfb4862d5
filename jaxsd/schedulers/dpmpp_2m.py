"""DPM-Solver++ 2M and its SDE variant (Lu et al. 2022, "DPM-Solver++", algorithm 2)."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, tabulate
from jaxsd.types import Prediction


def dpmpp_2m(
    schedule: NoiseSchedule,
    grid: Grid,
    prediction: Prediction,
    *,
    lower_order_final: bool = True,
) -> Tableau:
    """Second-order multistep in half log-SNR, with step h.

    x' = (sigma'/sigma)*x + alpha'*(1 - exp(-h))*D
    """
    h = np.diff(grid.half_log_snr)
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = grid.sigma[1:] / grid.sigma[:-1]
    weight = -grid.alpha[1:] * np.expm1(-h)
    rows.history[:, 0, :2] = weight[:, None] * extrapolation(grid, lower_order_final)
    return tabulate(prediction, rows, **grid._asdict())


def dpmpp_2m_sde(
    schedule: NoiseSchedule,
    grid: Grid,
    prediction: Prediction,
    *,
    lower_order_final: bool = True,
) -> Tableau:
    """The same for the diffusion SDE, "SDE-DPM-Solver++(2M)".

    x' = (sigma'/sigma)*exp(-h)*x + alpha'*(1 - exp(-2h))*D + sigma'*sqrt(1 - exp(-2h))*noise
    """
    h = np.diff(grid.half_log_snr)
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = grid.sigma[1:] / grid.sigma[:-1] * np.exp(-h)
    weight = -grid.alpha[1:] * np.expm1(-2 * h)
    rows.history[:, 0, :2] = weight[:, None] * extrapolation(grid, lower_order_final)
    rows.noise[:, 0] = grid.sigma[1:] * np.sqrt(-np.expm1(-2 * h))
    return tabulate(prediction, rows, **grid._asdict())


def extrapolation(grid: Grid, lower_order_final: bool) -> np.ndarray:
    """Weights of the newest two predictions in D = m0 + (m0 - m1)/(2r), r = h_before/h, [n, 2].

    The first row has no m1. The last row does not use it if it goes to sigma 0, where h is
    infinite, or with `lower_order_final` and fewer than 15 steps (as in the authors' code).
    """
    h = np.diff(grid.half_log_snr)
    weight = np.zeros(grid.steps)
    weight[1:] = h[1:] / h[:-1] / 2
    if grid.sigma[-1] == 0 or (lower_order_final and grid.steps < 15):
        weight[-1] = 0
    return np.stack([1 + weight, -weight], axis=-1)
