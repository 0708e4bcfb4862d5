"""Euler ancestral, of k-diffusion: DDPM's noise on Euler's steps."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, tabulate
from jaxsd.types import Prediction


def euler_a(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """Euler's step to sigma_down, then fresh noise of sigma_up; together they give the next sigma.

    sigma_up is the deviation of DDPM's posterior (Song et al. 2021, "Score-based", appendix F).
    """
    sigma, sigma_next = grid.noise_to_signal[:-1], grid.noise_to_signal[1:]
    sigma_up = sigma_next * np.sqrt(1 - (sigma_next / sigma) ** 2)
    sigma_down = np.sqrt(sigma_next**2 - sigma_up**2)
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = sigma_down / sigma
    rows.history[:, 0, 0] = 1 - sigma_down / sigma
    rows.noise[:, 0] = sigma_up
    return tabulate(prediction, rows, **grid.unscaled._asdict())
