"""BDIA-DDIM (Zhang et al. 2023, "Exact diffusion inversion via bidirectional integration")."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, tabulate
from jaxsd.types import Prediction


def bdia(
    schedule: NoiseSchedule, grid: Grid, prediction: Prediction, *, gamma: float = 1.0
) -> Tableau:
    """Eq. 18: DDIM's step, and of the way back to the sample before the error of DDIM's step there.

        z[i-1] = DDIM(z[i], i -> i-1) + gamma*(z[i+1] - DDIM(z[i], i -> i+1))

    The second sample is z[i+1]; before the first row it is z itself, so that this row is DDIM's.
    Each sample follows from the two after it as well as from the two before it, so a table run
    backwards (`inverted`) undoes it. gamma = 0 is DDIM, gamma = 1 is of second order.

    Raises:
      ValueError: gamma is not above 0 and at most 1.
    """
    if not 0 < gamma <= 1:
        raise ValueError(f"gamma must be above 0 and at most 1, not {gamma}")
    alpha, sigma = grid.alpha[:-1], grid.sigma[:-1]
    down = _ddim(alpha, sigma, grid.alpha[1:], grid.sigma[1:])
    before = np.maximum(np.arange(grid.steps) - 1, 0)
    up = _ddim(alpha, sigma, alpha[before], sigma[before])
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = down[0] - gamma * up[0]
    rows.samples[:, 0, 1] = gamma
    rows.samples[:, 1, 0] = 1
    rows.history[:, 0, 0] = down[1] - gamma * up[1]
    return tabulate(prediction, rows, **grid._asdict())


def _ddim(
    alpha: np.ndarray, sigma: np.ndarray, alpha_next: np.ndarray, sigma_next: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the sample and of x0 in DDIM's step between two levels, [S] each."""
    stays = sigma_next / sigma
    return stays, alpha_next - stays * alpha
