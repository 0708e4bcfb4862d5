"""The loop of `Tableau`'s docstring in plain float64 NumPy, and a network that is a formula."""

from collections.abc import Callable

import numpy as np

from jaxsd.schedulers import Tableau


def toy_network(x: np.ndarray, timestep: float) -> np.ndarray:
    """Non-linear in the sample and dependent on the timestep, so that no error can hide."""
    return 0.6 * np.tanh(x) * np.cos(timestep / 400) + 0.2 * np.sin(2 * x)


def run_table(
    tableau: Tableau,
    x: np.ndarray,
    noises: np.ndarray,
    network: Callable[[np.ndarray, float], np.ndarray] = toy_network,
) -> np.ndarray:
    """The result of a table from unit noise `x`; row i draws noises[i]."""
    t = Tableau(*(np.asarray(field, np.float64) for field in tableau))
    z = [t.start[1] * x] * t.samples.shape[1]
    m = [np.zeros_like(x)] * t.history.shape[2]
    for row in range(t.rows):
        x0 = t.c_skip[row] * z[0] + t.c_out[row] * network(t.c_in[row] * z[0], t.timestep[row])
        m = [t.keep[row, 0] * z[0] + t.keep[row, 1] * x0, *m[:-1]]
        z = [
            sum(weight * old for weight, old in zip(t.samples[row, j], z, strict=True))
            + sum(weight * old for weight, old in zip(t.history[row, j], m, strict=True))
            + t.noise[row, j] * noises[row]
            for j in range(len(z))
        ]
    return z[0]


def relative_error(got: np.ndarray, want: np.ndarray) -> float:
    """Largest difference over largest value."""
    return float(np.abs(got - want).max() / np.abs(want).max())
