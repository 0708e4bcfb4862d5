"""DDPM (Ho et al. 2020, "Denoising diffusion probabilistic models")."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, tabulate
from jaxsd.types import Prediction


def ddpm(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """Ancestral sampling: a draw from the posterior q(x' | x, x0), eq. 6 and 7.

    Between two levels of the grid, beta is 1 - (alpha/alpha')^2 ("fixed_small" in diffusers).
    """
    alpha, sigma = grid.alpha[:-1], grid.sigma[:-1]
    alpha_next, sigma_next = grid.alpha[1:], grid.sigma[1:]
    beta = 1 - (alpha / alpha_next) ** 2
    rows = blank(grid.steps)
    rows.history[:, 0, 0] = alpha_next * beta / sigma**2
    rows.samples[:, 0, 0] = alpha / alpha_next * sigma_next**2 / sigma**2
    rows.noise[:, 0] = sigma_next / sigma * np.sqrt(beta)
    return tabulate(prediction, rows, **grid._asdict())
