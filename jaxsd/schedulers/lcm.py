"""Multistep sampling of latent consistency models (Luo et al. 2023, algorithm 3)."""

import numpy as np

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.tableau import Tableau, blank, tabulate
from jaxsd.types import Array, Prediction

SIGMA_DATA = 0.5
TIMESTEP_SCALING = 10.0


def lcm(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
    """Jumps to the data, f(x) = c_skip*x + c_out*x0, and adds new noise up to the next level.

    The last jump is the result. c_skip and c_out give the boundary condition f = x at t = 0, with
    the constants of the distillation. So `check_point_mass` holds only approximately.
    """
    c_skip, c_out = boundary_scalings(grid.timestep)
    alpha, sigma = np.append(grid.alpha[:-1], 1.0), np.append(grid.sigma[:-1], 0.0)
    rows = blank(grid.steps)
    rows.samples[:, 0, 0] = alpha[1:] * c_skip
    rows.history[:, 0, 0] = alpha[1:] * c_out
    rows.noise[:, 0] = sigma[1:]
    grid = grid._replace(alpha=alpha, sigma=sigma)
    return tabulate(prediction, rows, **grid._asdict(), tolerance=1e-4)


def boundary_scalings(timestep: Array) -> tuple[Array, Array]:
    """c_skip and c_out of f(x, t) = c_skip*x + c_out*x0 (Luo et al. 2023, equation 7).

    At t = 0 they are 1 and 0, so f is the identity there.

    Args:
      timestep: timesteps, 0..T-1, NumPy's or JAX's.
    """
    t = TIMESTEP_SCALING * timestep
    scale = t**2 + SIGMA_DATA**2
    return SIGMA_DATA**2 / scale, t / scale**0.5
