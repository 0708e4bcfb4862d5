"""Trajectory consistency distillation (Zheng et al. 2024), strategic stochastic sampling."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, check_eta, tabulate
from jaxsd.types import Prediction


def tcd(
    schedule: NoiseSchedule, grid: Grid, prediction: Prediction, *, eta: float = 0.3
) -> Tableau:
    """Jumps along the trajectory to s = (1 - gamma)*t', below the next timestep t', and adds noise
    up to t'. `eta` is the paper's gamma, [0, 1]; 0 is deterministic.
    """
    check_eta(eta)
    alpha, sigma = grid.alpha[:-1], grid.sigma[:-1]
    next_timestep = np.append(grid.timestep[1:], 0)
    s = np.floor((1 - eta) * next_timestep).astype(int)
    alpha_s, sigma_s = schedule.alpha[s], schedule.sigma[s]
    up = grid.alpha[1:] / alpha_s  # noising back from s multiplies by this
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = up * sigma_s / sigma
    rows.history[:, 0, 0] = up * (alpha_s - sigma_s / sigma * alpha)
    rows.noise[:, 0] = np.sqrt(1 - up**2)
    return tabulate(prediction, rows, **grid._asdict())
