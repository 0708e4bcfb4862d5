"""SA-Solver (Xue et al. 2023, "SA-Solver: stochastic Adams solver"), data prediction."""

import numpy as np

from jaxsd.schedulers.deis import integral_with_exp
from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.lagrange import lagrange_basis
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, check_order, tabulate
from jaxsd.types import Prediction

STOCHASTIC = (200, 800)
"""Timesteps between which steps add noise, those of the authors and of diffusers."""


def sa_solver(
    schedule: NoiseSchedule,
    grid: Grid,
    prediction: Prediction,
    *,
    order: int = 2,
    tau: float = 1.0,
) -> Tableau:
    """Predictor and corrector of `order` 1..3; `tau` (0..2) is how much noise is renewed.

    x' = exp(-tau^2*h)*(sigma'/sigma)*x + sum_k b_k*m_k + sigma'*sqrt(1 - exp(-2*tau^2*h))*noise

    The call at a level first corrects the sample there with the noise of the step before, and then
    predicts the next one. z[1] is the step without its sum: both sums are added to it.

    Raises:
      ValueError: options out of range, or a grid that ends at sigma 0.
    """
    check_order("sa_solver", order, 3)
    if not 0 <= tau <= 2:
        raise ValueError(f"tau must be 0 to 2, not {tau}")
    if grid.sigma[-1] == 0:
        raise ValueError("sa_solver cannot end at sigma 0: end the sigmas above it")
    h, steps = np.diff(grid.half_log_snr), grid.steps
    low, high = STOCHASTIC
    taus = np.where((grid.timestep >= low) & (grid.timestep <= high), tau, 0.0)
    rows = blank(steps)
    for i in range(steps):
        corrected, of_m = np.array([1.0, 0.0]), np.zeros(rows.history.shape[-1])
        if i > 0:
            known = min(order, steps - i + 2, i + 1)
            corrected = np.array([0.0, 1.0])
            levels = [i - k for k in range(known)]
            of_m[:known] = weights(grid, i - 1, i, levels, taus[i - 1])
        known = min(order, steps - i, i + 1)
        stays = np.exp(-(taus[i] ** 2) * h[i]) * grid.sigma[i + 1] / grid.sigma[i]
        rows.samples[i] = stays * corrected
        rows.history[i] = stays * of_m
        levels = [i - k for k in range(known)]
        rows.history[i, 0, :known] += weights(grid, i, i + 1, levels, taus[i])
        rows.noise[i] = grid.sigma[i + 1] * np.sqrt(-np.expm1(-2 * taus[i] ** 2 * h[i]))
    return tabulate(prediction, rows, **grid._asdict())


def weights(grid: Grid, begin: int, end: int, levels: list[int], tau: float) -> np.ndarray:
    """`lagrange_weights`; of two, the authors' code moves a part of order h^3 from one to the
    other, so that few steps are as those of UniPC.
    """
    found = lagrange_weights(grid, begin, end, levels, tau)
    if len(levels) == 2:
        q, alpha = 1 + tau**2, grid.alpha[end]
        nodes = grid.half_log_snr[levels] - grid.half_log_snr[begin]
        h = grid.half_log_snr[end] - grid.half_log_snr[begin]
        part = h**2 / 2 - (q * h - 1 + np.exp(-q * h)) / q**2
        found += q * alpha * part / (nodes[0] - nodes[1]) * np.array([1, -1])
    return found


def lagrange_weights(grid: Grid, begin: int, end: int, levels: list[int], tau: float) -> np.ndarray:
    """The b_k of predictions at `levels` in a step (theorem 5.1 of the paper), [len(levels)].

    b_k = (1 + tau^2)*sigma'*exp(-tau^2*lambda') * integral of exp((1 + tau^2)*lambda)*l_k(lambda)
    """
    q = 1 + tau**2
    nodes = grid.half_log_snr[levels] - grid.half_log_snr[begin]
    h = grid.half_log_snr[end] - grid.half_log_snr[begin]
    integrals = [integral_with_exp(p, q * h) for p in lagrange_basis(q * nodes)]
    return grid.alpha[end] * np.exp(-q * h) * np.array(integrals)
