"""Order of convergence on Gaussian data, whose denoiser and trajectories are known.

Data are N(0, 4), so E[x0 | z] = 4*alpha/(4*alpha^2 + sigma^2) * z and the probability flow keeps
z / sqrt(4*alpha^2 + sigma^2) constant. Grids are uniform in log-SNR and end above zero noise: a
last step to zero makes every method look first order.
"""

import numpy as np
import pytest

from jaxsd.schedulers import SAMPLERS, Grid, NoiseSchedule, Tableau

VARIANCE = 4.0
WARM = 6  # rows after which every method has its full history; even, so that Heun begins a step


def deviation(alpha, sigma):
    """Of z at a level."""
    return np.sqrt(VARIANCE * alpha**2 + sigma**2)


def gaussian_table(name: str, steps: int, options: dict) -> Tableau:
    """A table on steps uniform in half log-SNR from -3 to 3. Timesteps count from the end."""
    half_log_snr = np.linspace(-3, 3, steps + 1)
    alpha = 1 / np.sqrt(1 + np.exp(-2 * half_log_snr))
    grid = Grid(np.arange(steps, 0.0, -1), alpha, alpha * np.exp(-half_log_snr))
    return SAMPLERS[name].builder(NoiseSchedule(alpha[::-1] ** 2), grid, "epsilon", **options)


def denoised(t: Tableau, row: int, z: np.ndarray) -> np.ndarray:
    """x0 of the perfect network, through the table's own c_in, c_skip and c_out."""
    half_log_snr = 3 - 6 * t.timestep[row] / t.timestep[0]
    alpha = 1 / np.sqrt(1 + np.exp(-2 * half_log_snr))
    sigma = alpha * np.exp(-half_log_snr)
    epsilon = sigma * t.c_in[row] * z / deviation(alpha, sigma) ** 2
    return t.c_skip[row] * z + t.c_out[row] * epsilon


def error(t: Tableau, first: int, end: int) -> float:
    """Relative error of rows first..end-1 from exact samples and history."""

    def exact(row: int) -> float:
        return deviation(t.alpha[row], t.sigma[row])

    z = np.array([exact(first), exact(max(first - 1, 0))])
    m = np.zeros(t.history.shape[2])
    for age, row in enumerate(range(first - 1, max(first - 1 - len(m), -1), -1)):
        m[age] = t.keep[row] @ [exact(row), denoised(t, row, exact(row))]
    for row in range(first, end):
        m = np.array([t.keep[row] @ [z[0], denoised(t, row, z[0])], *m[:-1]])
        z = t.samples[row] @ z + t.history[row] @ m
    return abs(z[0] / exact(end) - 1)


def slope(errors: list[float]) -> float:
    return np.log2(errors[0] / errors[1])


CLAIMED = [
    ("ddim", {}, 1),
    ("euler", {}, 1),
    ("heun", {}, 2),
    ("dpm2", {}, 2),
    ("dpm++_2m", {}, 2),
    ("dpm++_2s", {}, 2),
    ("res_multistep", {}, 2),
    ("ipndm", {}, 2),  # its steps are taken for equal, and here each is longer by a share of h
    ("gradient_estimation", {}, 1),
    ("bdia", {}, 2),
    ("pndm", {}, 2),  # "pseudo": order 4 only in its own variable (Liu et al. 2022, theorem 3.2)
    *(("lms", {"order": k}, k) for k in (1, 2, 3, 4)),
    *(("deis", {"order": k}, k) for k in (1, 2, 3)),
    *(("unipc", {"order": k}, k + 1) for k in (1, 2, 3)),  # the corrector adds one
    ("unipc", {"variant": "bh1"}, 3),
]


@pytest.mark.parametrize(("name", "options", "order"), CLAIMED)
def test_order_with_full_history(name, options, order):
    tables = [gaussian_table(name, steps, options) for steps in (160, 320)]
    # The last rows are left out: there methods lower their order on purpose.
    errors = [error(t, WARM, t.rows - 4) for t in tables]
    assert slope(errors) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize(("name", "options", "order"), [case for case in CLAIMED if case[2] <= 2])
def test_order_from_the_first_row(name, options, order):
    """Warming up with lower orders costs nothing up to order 2."""
    tables = [gaussian_table(name, steps, options) for steps in (160, 320)]
    assert slope([error(t, 0, t.rows - 4) for t in tables]) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize(
    ("name", "options", "order"),
    [
        ("ddpm", {}, 1),
        ("ddim", {"eta": 1.0}, 1),
        ("euler_a", {}, 1),
        ("er_sde", {"order": 1}, 1),
        ("dpm2_a", {}, 2),
        ("res_multistep", {"eta": 1.0}, 2),
        ("dpm++_sde", {}, 2),
        ("dpm++_2s_a", {}, 2),
        ("dpm++_2m_sde", {}, 2),
        ("dpm++_3m_sde", {}, 2),  # its first two steps are of orders 1 and 2
    ],
)
def test_weak_order_of_stochastic_methods(name, options, order):
    """The deviation of the samples, followed exactly: methods are linear in all their noises."""
    errors = []
    for steps in (160, 320):
        t = gaussian_table(name, steps, options)
        unit = np.eye(t.rows + 1)
        z = np.stack([unit[0] * deviation(t.alpha[0], t.sigma[0])] * 2)
        m = np.zeros((t.history.shape[2], t.rows + 1))
        for row in range(t.rows):
            m = np.stack([t.keep[row] @ [z[0], denoised(t, row, z[0])], *m[:-1]])
            z = t.samples[row] @ z + t.history[row] @ m + np.outer(t.noise[row], unit[row + 1])
        errors.append(abs(np.linalg.norm(z[0]) / deviation(t.alpha[-1], t.sigma[-1]) - 1))
    assert slope(errors) == pytest.approx(order, abs=0.2)
