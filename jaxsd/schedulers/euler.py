"""Euler's method in sigma (Karras et al. 2022, "Elucidating the design space", algorithm 1)."""

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, tabulate
from jaxsd.types import Prediction


def euler(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """A step along dx/dsigma = (x - x0)/sigma, where x = x0 + sigma*noise."""
    sigma = grid.noise_to_signal
    ratio = sigma[1:] / sigma[:-1]
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = ratio
    rows.history[:, 0, 0] = 1 - ratio
    return tabulate(prediction, rows, **grid.unscaled._asdict())
