"""Euler ancestral, of k-diffusion: DDPM's noise on Euler's steps."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, tabulate
from jaxsd.types import Prediction


def euler_a(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """Euler's step to sigma_down, then fresh noise of sigma_up."""
    sigma = grid.noise_to_signal[:-1]
    sigma_down, sigma_up = ancestral(sigma, grid.noise_to_signal[1:])
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = sigma_down / sigma
    rows.history[:, 0, 0] = 1 - sigma_down / sigma
    rows.noise[:, 0] = sigma_up
    return tabulate(prediction, rows, **grid.unscaled._asdict())


def ancestral(
    sigma: np.ndarray, sigma_next: np.ndarray, eta: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """sigma_down and sigma_up of steps, whose squares add up to that of the next sigma.

    With eta 1, sigma_up is the deviation of DDPM's posterior (Song et al. 2021, "Score-based",
    appendix F); it is less in proportion.
    """
    sigma_up = eta * sigma_next * np.sqrt(1 - (sigma_next / sigma) ** 2)
    return np.sqrt(sigma_next**2 - sigma_up**2), sigma_up
