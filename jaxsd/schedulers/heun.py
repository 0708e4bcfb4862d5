"""Heun's method in sigma (Karras et al. 2022, "Elucidating the design space", algorithm 1)."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, tabulate
from jaxsd.types import Prediction


def heun(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """Two calls a step, but one in the last, which goes to sigma 0 (lines 4 to 8).

    With d = (x - x0)/sigma and h = sigma' - sigma, the first call makes Euler's x + h*d, for the
    network to look at, and keeps x + (h/2)*d; the second adds (h/2)*d'.
    """
    levels = np.repeat(np.arange(grid.steps + 1), 2)[1:-1]  # 0, 1, 1, 2, 2, ..., n-1, n-1, n
    sigma = grid.noise_to_signal
    rows = blank(len(levels) - 1)
    for step, h in enumerate(np.diff(sigma)):
        first, second = 2 * step, 2 * step + 1
        slope = h / sigma[step]
        rows.samples[first, :, 0] = 1 + slope, 1 + slope / 2
        rows.history[first, :, 0] = -slope, -slope / 2
        if second < len(levels) - 1:
            slope = h / sigma[step + 1]
            rows.samples[second, 0] = slope / 2, 1
            rows.history[second, 0, 0] = -slope / 2
    return tabulate(prediction, rows, **grid.visiting(levels).unscaled._asdict())
