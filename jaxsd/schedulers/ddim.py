"""DDIM (Song et al. 2021, "Denoising diffusion implicit models")."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, check_eta, tabulate
from jaxsd.types import Prediction


def ddim(
    schedule: NoiseSchedule, grid: Grid, prediction: Prediction, *, eta: float = 0.0
) -> Tableau:
    """Eq. 12: keeps the noise in the sample, but replaces a part of it, set by `eta`, by new noise.

    eta = 0 is deterministic, eta = 1 is ancestral sampling (eq. 16).
    """
    check_eta(eta)
    alpha, sigma = grid.alpha[:-1], grid.sigma[:-1]
    alpha_next, sigma_next = grid.alpha[1:], grid.sigma[1:]
    fresh = eta * sigma_next / sigma * np.sqrt(1 - (alpha / alpha_next) ** 2)
    stays = np.sqrt(sigma_next**2 - fresh**2) / sigma
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = stays
    rows.history[:, 0, 0] = alpha_next - stays * alpha
    rows.noise[:, 0] = fresh
    return tabulate(prediction, rows, **grid._asdict())
