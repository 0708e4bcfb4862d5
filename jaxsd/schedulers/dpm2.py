"""DPM2 of k-diffusion: DPM-Solver-2 in sigma (Lu et al. 2022, "DPM-Solver", algorithm 1)."""

import numpy as np

from jaxsd.schedulers.euler_a import ancestral
from jaxsd.schedulers.grid import Grid, timestep_of
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, keep_noise, tabulate
from jaxsd.types import Prediction


def dpm2(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """Two calls per step, but one in a last that goes to sigma 0.

    The first goes to the middle in log sigma. With the slope d = (x - x0)/sigma that the second
    finds there, the whole step is made from its start.
    """
    ends = grid.noise_to_signal[1:]
    return midpoint(schedule, grid, prediction, ends, np.zeros_like(ends))


def dpm2_a(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """The same to sigma_down, then fresh noise of sigma_up, as Euler ancestral's."""
    sigma = grid.noise_to_signal
    return midpoint(schedule, grid, prediction, *ancestral(sigma[:-1], sigma[1:]))


def midpoint(
    schedule: NoiseSchedule,
    grid: Grid,
    prediction: Prediction,
    ends: np.ndarray,
    noise: np.ndarray,
) -> Tableau:
    """Steps to `ends` [n], after which noise of a deviation [n] is added."""
    visited, first = with_middles(schedule, grid, ends)
    sigma = grid.noise_to_signal[:-1]
    twice = ends > 0
    rows, second = blank(visited.steps), first + twice
    rows.history[first, 0, 0] = visited.sigma[first + 1] - sigma
    rows.samples[first, :, 0] = 1
    rows.samples[second, 0] = np.where(twice[:, None], [0, 1], [1, 0])
    rows.history[second, 0, 0] = ends - sigma
    rows.noise[second, 0] = noise
    keep = keep_noise(visited.alpha[:-1], visited.sigma[:-1])
    return tabulate(prediction, rows, **visited._asdict(), keep=keep)


def with_middles(schedule: NoiseSchedule, grid: Grid, ends: np.ndarray) -> tuple[Grid, np.ndarray]:
    """The unscaled grid with a level in the middle, in log sigma, of each way to `ends` [n].

    There is none where an end is 0. Also the number of the row that each step begins with, [n].
    """
    sigma, steps = grid.noise_to_signal, np.flatnonzero(ends > 0)
    middles = np.sqrt(sigma[steps] * ends[steps])
    levels = np.insert(sigma, steps + 1, middles)
    timestep = np.insert(grid.timestep, steps + 1, timestep_of(schedule, middles))
    visited = grid.unscaled._replace(timestep=timestep, alpha=np.ones_like(levels), sigma=levels)
    return visited, np.arange(grid.steps) + np.searchsorted(steps, np.arange(grid.steps))
