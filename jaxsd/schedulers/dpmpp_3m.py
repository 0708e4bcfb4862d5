"""DPM-Solver++ 3M SDE of k-diffusion (Lu et al. 2022, "DPM-Solver++", appendix B and D)."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, tabulate
from jaxsd.types import Prediction


def dpmpp_3m_sde(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """Third-order multistep for the diffusion SDE, with step h in half log-SNR and H = 2h.

    x' = (sigma'/sigma)*exp(-h)*x + alpha'*((1 - exp(-H))*m0 + phi_2*D1 - phi_3*D2) + noise

    phi_2 = (exp(-H) - 1)/H + 1 and phi_3 = phi_2/H - 1/2. D1 and D2 are h times the slope and h^2
    times half the curvature of the last three predictions. The second step has two of them, the
    first one, and so has a last that goes to sigma 0, where h is infinite.
    """
    h = np.diff(grid.half_log_snr)
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = grid.sigma[1:] / grid.sigma[:-1] * np.exp(-h)
    rows.noise[:, 0] = grid.sigma[1:] * np.sqrt(-np.expm1(-2 * h))
    newest = np.eye(3)[0]
    for i in range(grid.steps):
        weights = -np.expm1(-2 * h[i]) * newest
        if i > 0 and np.isfinite(h[i]):
            phi_2 = np.expm1(-2 * h[i]) / (2 * h[i]) + 1
            phi_3 = phi_2 / (2 * h[i]) - 1 / 2
            slope, curvature = differences(h[: i + 1])
            weights += phi_2 * slope - phi_3 * curvature
        rows.history[i, 0, :3] = grid.alpha[i + 1] * weights
    return tabulate(prediction, rows, **grid._asdict())


def differences(h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """D1 and D2 as weights of the last three predictions, newest first; `h` ends with the step."""
    m0, m1, m2 = np.eye(3)
    r0 = h[-2] / h[-1]
    first = (m0 - m1) / r0
    if len(h) == 2:
        return first, np.zeros(3)
    r1 = h[-3] / h[-1]
    second = (first - (m1 - m2) / r1) / (r0 + r1)
    return first + r0 * second, second
