"""DPM-Solver++ 2S, singlestep (Lu et al. 2022, "DPM-Solver++", algorithm 1)."""

import numpy as np

from jaxsd.schedulers.dpm2 import with_middles
from jaxsd.schedulers.euler_a import ancestral
from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, tabulate
from jaxsd.types import Prediction


def dpmpp_2s(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """Steps over two intervals of the grid: first order to the middle, then from the step's start
    x' = (sigma'/sigma)*x + alpha'*(1 - exp(-h))*D with D = (1 - 1/(2r))*m1 + m0/(2r).

    The middle lies at r of the step. A single interval that is left over is crossed at first order,
    and so are both intervals of a step that would end at sigma 0.
    """
    alpha, sigma, half_log_snr = grid.alpha, grid.sigma, grid.half_log_snr
    rows = blank(grid.steps)
    second_order = np.arange(grid.steps) % 2 == 1
    second_order[-1] &= sigma[-1] > 0
    for i in range(grid.steps):
        begin = i - 1 if second_order[i] else i
        h = half_log_snr[i + 1] - half_log_snr[begin]
        weight = -alpha[i + 1] * np.expm1(-h)
        if second_order[i]:
            r = (half_log_snr[i] - half_log_snr[begin]) / h
            rows.history[i, 0, :2] = weight / (2 * r), weight * (1 - 1 / (2 * r))
            rows.samples[i, 0, 1] = sigma[i + 1] / sigma[begin]
        else:
            rows.history[i, 0, 0] = weight
            rows.samples[i, 0, 0] = sigma[i + 1] / sigma[begin]
            rows.samples[i, 1, 0] = 1
    return tabulate(prediction, rows, **grid._asdict())


def dpmpp_2s_a(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """k-diffusion's ancestral form: each step of two calls goes to sigma_down, with its middle in
    log sigma, and adds fresh noise of sigma_up. A step to sigma 0 is one call.
    """
    sigma = grid.noise_to_signal
    down, up = ancestral(sigma[:-1], sigma[1:])
    visited, first = with_middles(schedule, grid, down)
    twice, sigma = down > 0, sigma[:-1]
    rows, second = blank(visited.steps), first + twice
    part = visited.sigma[first + 1] / sigma  # where a step is one row, that is its end
    rows.samples[first, :, 0] = np.stack([part, down / sigma], axis=-1)
    rows.history[first, 0, 0] = 1 - part
    second, part = second[twice], (down / sigma)[twice]
    rows.samples[second, 0, 1] = 1
    rows.history[second, 0, 0] = 1 - part
    rows.noise[second, 0] = up[twice]
    return tabulate(prediction, rows, **visited._asdict())
