"""Linear multistep in sigma, of k-diffusion: Adams-Bashforth on a grid of any spacing."""

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.lagrange import lagrange_basis
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, check_order, keep_noise, tabulate
from jaxsd.types import Prediction


def lms(schedule: NoiseSchedule, grid: Grid, prediction: Prediction, *, order: int = 4) -> Tableau:
    """Adds to x the integral from sigma to sigma' of the polynomial through the last `order` (1..4)
    values of d = (x - x0)/sigma, which is the predicted noise.
    """
    check_order("lms", order, 4)
    sigma = grid.noise_to_signal
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = 1
    for i in range(grid.steps):
        known = min(order, i + 1)
        for k, polynomial in enumerate(lagrange_basis(sigma[i - known + 1 : i + 1][::-1])):
            integral = polynomial.integ()
            rows.history[i, 0, k] = integral(sigma[i + 1]) - integral(sigma[i])
    levels = grid.unscaled
    keep = keep_noise(levels.alpha[:-1], levels.sigma[:-1])
    return tabulate(prediction, rows, **levels._asdict(), keep=keep)
