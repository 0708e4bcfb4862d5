"""DPM-Solver++ SDE of k-diffusion: singlestep, of second order, for the diffusion SDE."""

import numpy as np

from jaxsd.schedulers.dpm2 import with_middles
from jaxsd.schedulers.euler_a import ancestral
from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, check_eta, tabulate
from jaxsd.types import Prediction


def dpmpp_sde(
    schedule: NoiseSchedule, grid: Grid, prediction: Prediction, *, eta: float = 1.0
) -> Tableau:
    """Two ancestral steps from the same start: to the middle in log sigma, and with the x0 found
    there to the end. `eta` is the share of the ancestral noise, [0, 1].

    Both noises are increments of one Brownian motion in sigma: that of the whole step is that up to
    the middle and a new one from there, in proportion to the roots of their lengths.
    """
    check_eta(eta)
    sigma, ends = grid.noise_to_signal[:-1], grid.noise_to_signal[1:]
    visited, first = with_middles(schedule, grid, ends)
    twice = ends > 0
    middle = visited.sigma[first + 1]
    down, up = ancestral(sigma, middle, eta)  # where a step is one row, its middle is its end
    rows, second = blank(visited.steps), first + twice
    rows.samples[first, 0, 0] = down / sigma
    rows.history[first, 0, 0] = 1 - down / sigma
    rows.noise[first, 0] = up
    first, second, sigma, middle, ends = (a[twice] for a in (first, second, sigma, middle, ends))
    down, up = ancestral(sigma, ends, eta)
    rows.samples[first, 1, 0] = down / sigma
    rows.noise[first, 1] = up * np.sqrt((sigma - middle) / (sigma - ends))
    rows.samples[second, 0, 1] = 1
    rows.history[second, 0, 0] = 1 - down / sigma
    rows.noise[second, 0] = up * np.sqrt((middle - ends) / (sigma - ends))
    return tabulate(prediction, rows, **visited._asdict())
