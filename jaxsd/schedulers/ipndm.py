"""iPNDM in sigma, of diff-sampler and ComfyUI (Zhang & Chen 2023, "DEIS", section 3)."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, check_order, keep_noise, tabulate
from jaxsd.types import Prediction

ADAMS_BASHFORTH = (
    (1,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Weights of the last predictions, newest first, on a grid of equal steps."""


def ipndm(
    schedule: NoiseSchedule, grid: Grid, prediction: Prediction, *, order: int = 4
) -> Tableau:
    """Adds (sigma' - sigma)*D to x, where D is Adams-Bashforth's mean of the last `order` (1..4)
    values of d = (x - x0)/sigma, as if all steps were equal. A step to sigma 0 is Euler's.
    """
    check_order("ipndm", order, 4)
    sigma = grid.noise_to_signal
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = 1
    for i in range(grid.steps):
        known = min(order, i + 1) if sigma[i + 1] > 0 else 1
        weights = np.array(ADAMS_BASHFORTH[known - 1])
        rows.history[i, 0, :known] = (sigma[i + 1] - sigma[i]) * weights
    levels = grid.unscaled
    keep = keep_noise(levels.alpha[:-1], levels.sigma[:-1])
    return tabulate(prediction, rows, **levels._asdict(), keep=keep)
