"""Gradient estimation (Permenter & Yuan 2024, "Interpreting diffusion models", section 5)."""

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, keep_noise, tabulate
from jaxsd.types import Prediction


def gradient_estimation(
    schedule: NoiseSchedule, grid: Grid, prediction: Prediction, *, gamma: float = 2.0
) -> Tableau:
    """Euler's step with gamma*d - (gamma - 1)*d_before in place of the slope d = (x - x0)/sigma.

    The first step, and one to sigma 0, are Euler's. 2 is the paper's gamma, 1 is Euler's method.

    Raises:
      ValueError: a gamma that is not 1 to 5.
    """
    if not 1 <= gamma <= 5:
        raise ValueError(f"gamma must be 1 to 5, not {gamma}")
    sigma = grid.noise_to_signal
    step = sigma[1:] - sigma[:-1]
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = 1
    rows.history[:, 0, 0] = step
    more = (gamma - 1) * step[1:] * (sigma[2:] > 0)
    rows.history[1:, 0, 0] += more
    rows.history[1:, 0, 1] -= more
    levels = grid.unscaled
    keep = keep_noise(levels.alpha[:-1], levels.sigma[:-1])
    return tabulate(prediction, rows, **levels._asdict(), keep=keep)
