"""SA-Solver as ComfyUI has it (Xue et al. 2023, "SA-Solver: stochastic Adams solver").

Other than `jaxsd.schedulers.sa_solver` its predictor and its corrector have orders of their own, a
range of levels says where noise is renewed, and it may end at sigma 0.
"""

from functools import partial

import numpy as np

from jaxsd.schedulers import NoiseSchedule, Tableau
from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.sa_solver import lagrange_weights
from jaxsd.schedulers.tableau import HISTORY, blank, tabulate
from jaxsd.types import Prediction


def stochastic_adams(
    schedule: NoiseSchedule,
    grid: Grid,
    prediction: Prediction,
    *,
    noisy: tuple[float, float],
    eta: float = 1.0,
    predictor_order: int = 3,
    corrector_order: int = 4,
    simple_order_2: bool = False,
) -> Tableau:
    """Predictor and corrector, in x = x0 + sigma*noise with lambda = -log sigma.

    x' = (sigma'/sigma)*exp(-tau^2*h)*x + sum_k b_k*m_k + sigma'*sqrt(1 - exp(-2*tau^2*h))*noise

    The call at a level first corrects the sample there, with the noise of the step before, and then
    predicts the next one. z[1] is the step without its sum, to which both sums are added.

    Args:
      schedule: not used.
      grid: of the levels.
      prediction: the model's.
      noisy: the highest and the lowest sigma' of steps in which tau is `eta`, the lowest one left
        out; tau is 0 in all others.
      eta: share of renewed noise, 0 or more.
      predictor_order: 1..5.
      corrector_order: 0 (none) to 5.
      simple_order_2: the weights of appendix D where two predictions are known.

    Raises:
      ValueError: a higher order.
    """
    if max(predictor_order, corrector_order) > HISTORY:
        raise ValueError(f"predictor_order and corrector_order are at most {HISTORY} here")
    grid = grid.unscaled
    sigma, steps, rows = grid.sigma, grid.steps, blank(grid.steps)
    taus = np.where((sigma[1:] <= noisy[0]) & (sigma[1:] > noisy[1]), eta, 0.0)
    weights = partial(_weights, simple=simple_order_2)
    lowered = steps if sigma[-1] == 0 else 2 * steps  # orders fall towards sigma 0
    for i in range(steps):
        at_end = sigma[i + 1] == 0
        corrects = min(corrector_order, i + 1, lowered - i) if i > 0 and not at_end else 0
        base, of_m = np.array([1.0, 0.0]), np.zeros(HISTORY)
        if corrects:
            base = np.array([0.0, 1.0])
            of_m[:corrects] = weights(grid, i - 1, i, corrects, taus[i - 1], newest=i)
        if at_end:
            rows.history[i, :, 0] = 1
            continue
        known = min(predictor_order, i + 1, lowered - 1 - i)
        h = np.log(sigma[i] / sigma[i + 1])
        stays = sigma[i + 1] / sigma[i] * np.exp(-(taus[i] ** 2) * h)
        rows.samples[i] = stays * base
        rows.history[i] = stays * of_m
        rows.history[i, 0, :known] += weights(grid, i, i + 1, known, taus[i], newest=i)
        rows.noise[i] = sigma[i + 1] * np.sqrt(-np.expm1(-2 * taus[i] ** 2 * h))
    return tabulate(prediction, rows, **grid._asdict())


def _weights(
    grid: Grid, begin: int, end: int, known: int, tau: float, *, newest: int, simple: bool
) -> np.ndarray:
    """The b_k of the `known` predictions up to level number `newest`, the newest first."""
    if not simple or known != 2:
        return lagrange_weights(grid, begin, end, [newest - k for k in range(known)], tau)
    q, half_log_snr = 1 + tau**2, grid.half_log_snr
    h = half_log_snr[end] - half_log_snr[begin]
    second = q * h / 2
    if newest == begin:  # of a predictor, which knows nothing of its end
        second = 1 - np.exp(-q * h) - h * second / (half_log_snr[begin - 1] - half_log_snr[begin])
    return np.array([second, 1 - np.exp(-q * h) - second])
