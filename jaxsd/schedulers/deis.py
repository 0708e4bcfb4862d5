"""DEIS (Zhang & Chen 2023, "Fast sampling of diffusion models with exponential integrator")."""

import numpy as np
from numpy.polynomial import Polynomial

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.lagrange import lagrange_basis
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, check_order, keep_noise, tabulate
from jaxsd.types import Prediction


def deis(schedule: NoiseSchedule, grid: Grid, prediction: Prediction, *, order: int = 2) -> Tableau:
    """Multistep ("tAB-DEIS") with polynomials in log rho, where rho = sigma/alpha.

    x'/alpha' = x/alpha + sum_k noise_k * integral from rho to rho' of l_k(log rho)

    The order is 1..3; it is lower in the first steps, and in the last of fewer than 15 steps.

    Raises:
      ValueError: if the grid ends at sigma 0, where log rho is not finite.
    """
    check_order("deis", order, 3)
    if grid.sigma[-1] == 0:
        raise ValueError("deis cannot end at sigma 0: end the sigmas above it")
    log_rho = np.log(grid.noise_to_signal)
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = grid.alpha[1:] / grid.alpha[:-1]
    for i in range(grid.steps):
        left = grid.steps - i if grid.steps < 15 else order
        known = min(order, i + 1, left)
        nodes = log_rho[i - known + 1 : i + 1][::-1] - log_rho[i]
        h = log_rho[i + 1] - log_rho[i]
        weights = [integral_with_exp(polynomial, h) for polynomial in lagrange_basis(nodes)]
        rows.history[i, 0, :known] = grid.alpha[i + 1] * np.exp(log_rho[i]) * np.array(weights)
    keep = keep_noise(grid.alpha[:-1], grid.sigma[:-1])
    return tabulate(prediction, rows, **grid._asdict(), keep=keep)


def integral_with_exp(polynomial: Polynomial, end: float) -> float:
    """Integral of p(u)*exp(u) from 0 to `end`, by parts: (p - p' + p'' - ...)*exp(u)."""
    p, total, sign = polynomial, Polynomial([0.0]), 1
    for _ in range(polynomial.degree() + 1):
        total, p, sign = total + sign * p, p.deriv(), -sign
    return total(end) * np.exp(end) - total(0.0)
