"""RES of second order, multistep (Zhang et al. 2023, "Improved order analysis", algorithm 2)."""

import numpy as np

from jaxsd.schedulers.euler_a import ancestral
from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, check_eta, tabulate
from jaxsd.types import Prediction


def res_multistep(
    schedule: NoiseSchedule, grid: Grid, prediction: Prediction, *, eta: float = 0.0
) -> Tableau:
    """Second-order exponential integrator in t = -log sigma, with step h.

    x' = exp(-h)*x + h*((phi_1 - phi_2/c)*m0 + (phi_2/c)*m1)

    phi_1 = (1 - exp(-h))/h, phi_2 = (1 - phi_1)/h, and c = -h_before/h is the place of m1. The
    first step, and one to sigma 0, are Euler's. With `eta`, up to 1, steps are ancestral.
    """
    check_eta(eta)
    sigma = grid.noise_to_signal
    down, up = ancestral(sigma[:-1], sigma[1:], eta)
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = down / sigma[:-1]
    rows.history[:, 0, 0] = 1 - down / sigma[:-1]
    rows.noise[:, 0] = up
    for i in range(1, grid.steps):
        if down[i] > 0:
            h = np.log(sigma[i] / down[i])
            c = np.log(down[i - 1] / sigma[i - 1]) / h
            second = (1 + np.expm1(-h) / h) / c  # h*phi_2/c
            rows.history[i, 0, :2] += -second, second
    return tabulate(prediction, rows, **grid.unscaled._asdict())
