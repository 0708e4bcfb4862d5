"""Heun's method in sigma (Karras et al. 2022, "Elucidating the design space", algorithm 1)."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, keep_noise, tabulate
from jaxsd.types import Prediction


def heun(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """Two calls per step, but one in the last, which goes to sigma 0 (lines 4 to 8).

    With d = (x - x0)/sigma and h = sigma' - sigma, the first call computes Euler's x + h*d, the
    network's next input, and keeps x + (h/2)*d; the second adds (h/2)*d' to the latter.
    """
    visited = grid.unscaled.visiting(np.repeat(np.arange(grid.steps + 1), 2)[1:-1])
    rows = blank(visited.steps)
    h = np.repeat(np.diff(grid.noise_to_signal), 2)[: visited.steps]
    first, second = slice(0, None, 2), slice(1, None, 2)
    rows.samples[first, :, 0] = 1
    rows.history[first, 0, 0], rows.history[first, 1, 0] = h[first], h[first] / 2
    rows.samples[second, 0, 1] = 1
    rows.history[second, 0, 0] = h[second] / 2
    keep = keep_noise(visited.alpha[:-1], visited.sigma[:-1])
    return tabulate(prediction, rows, **visited._asdict(), keep=keep)
