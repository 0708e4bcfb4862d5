"""Restart sampling (Xu et al. 2023, "Restart sampling for improving generative processes")."""

import numpy as np

from jaxsd.schedulers.grid import Grid, timestep_of
from jaxsd.schedulers.heun import heun
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.spacing import karras_sigmas
from jaxsd.schedulers.tableau import Tableau, blank, keep_noise, tabulate
from jaxsd.types import Prediction

LOW, HIGH = 0.1, 2.0
"""Sigmas between which steps are repeated, as in webui; the nearest levels are taken."""


def restart(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """Heun's steps, some of which are made again after noise is added (algorithm 2).

    With 20 steps or more, webui's: nine of them, or twice a quarter from 36 on, go from sigma 2 to
    0.1 once more, and all have Karras' sigmas between the ends of the grid. With fewer it is Heun's
    method.
    """
    if grid.steps < 20:
        return heun(schedule, grid, prediction)
    steps = way(grid.noise_to_signal)
    twice = steps[:, 1] > 0
    number = np.repeat(np.arange(len(steps)), 1 + twice)  # of each call's step
    second = np.append(False, number[1:] == number[:-1])
    first, h = ~second, np.diff(steps, axis=1)[number, 0]
    sigma = np.append(np.where(second, steps[number, 1], steps[number, 0]), steps[-1, 1])
    rows = blank(len(number))
    rows.samples[first, :, 0] = 1
    rows.history[first, 0, 0], rows.history[first, 1, 0] = h[first], h[first] / 2
    rows.samples[second, 0, 1] = 1
    rows.history[second, 0, 0] = h[second] / 2
    rises = np.append(steps[1:, 0], steps[-1, 1]) ** 2 - steps[:, 1] ** 2
    rows.noise[np.cumsum(1 + twice) - 1, 0] = np.sqrt(np.maximum(rises, 0))
    visited = grid.unscaled._replace(
        timestep=timestep_of(schedule, sigma[:-1]), alpha=np.ones_like(sigma), sigma=sigma
    )
    keep = keep_noise(visited.alpha[:-1], visited.sigma[:-1])
    return tabulate(prediction, rows, **visited._asdict(), keep=keep)


def way(sigma: np.ndarray) -> np.ndarray:
    """Sigma before and after each step, [n, 2], for a grid of n levels and an end."""
    count = len(sigma) - 1
    again, times = (count // 4, 2) if count >= 36 else (9, 1)
    once = karras_sigmas(sigma[0], sigma[-2], count - again * times)
    once = np.append(once, sigma[-1])
    steps = np.stack([once[:-1], once[1:]], axis=1)
    low, high = (int(np.abs(once - level).argmin()) for level in (LOW, HIGH))
    if high >= low:
        return steps
    levels = karras_sigmas(once[high], once[low], again + 1)
    repeated = [np.stack([levels[:-1], levels[1:]], axis=1)] * times
    return np.concatenate([steps[:low], *repeated, steps[low:]])
