"""Independent slow loops in NumPy, written from the papers' algorithms, against the tables."""

import numpy as np
import pytest
from slow_loop import relative_error, run_table, toy_network

from jaxsd.config import ScheduleConfig
from jaxsd.schedulers import NoiseSchedule, build

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
rng = np.random.default_rng(0)
X, NOISES = rng.standard_normal((2, 3, 3, 4)), rng.standard_normal((20, 2, 3, 3, 4))
TOLERANCE = 3e-6  # the tables' float32


def level(t):
    """alpha, sigma of a timestep, with beta summed by hand; t = -1 is timestep 0's level."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    bar = np.prod(1 - betas[: max(t, 0) + 1])
    return np.sqrt(bar), np.sqrt(1 - bar)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim(eta):
    """Song et al. 2021, eq. 12 and 16."""
    timesteps = [951 - 50 * i for i in range(20)]
    x = X
    for i, t in enumerate(timesteps):
        alpha, sigma = level(t)
        alpha_prev, sigma_prev = level(timesteps[i + 1] if i < 19 else -1)
        epsilon = toy_network(x, t)
        x0 = (x - sigma * epsilon) / alpha
        std = eta * sigma_prev / sigma * np.sqrt(1 - alpha**2 / alpha_prev**2)
        direction = np.sqrt(1 - alpha_prev**2 - std**2) * epsilon
        x = alpha_prev * x0 + direction + std * NOISES[i]
    table = build("ddim", SCHEDULE, 20, "epsilon", spacing="leading", eta=eta)
    assert relative_error(run_table(table, X, NOISES), x) <= TOLERANCE


def test_plms():
    """CompVis' PLMS: improved Euler at first, then Adams-Bashforth of order 2, 3 and 4."""
    timesteps = [901 - 100 * i for i in range(10)]
    x, old = X, []

    def move(x, epsilon, t, to):
        (alpha, sigma), (alpha_prev, sigma_prev) = level(t), level(to)
        return alpha_prev * (x - sigma * epsilon) / alpha + sigma_prev * epsilon

    for i, t in enumerate(timesteps):
        to = timesteps[i + 1] if i < 9 else -1
        e = toy_network(x, t)
        if not old:
            blend = (e + toy_network(move(x, e, t, to), to)) / 2
        elif len(old) == 1:
            blend = (3 * e - old[0]) / 2
        elif len(old) == 2:
            blend = (23 * e - 16 * old[0] + 5 * old[1]) / 12
        else:
            blend = (55 * e - 59 * old[0] + 37 * old[1] - 9 * old[2]) / 24
        x, old = move(x, blend, t, to), [e, *old[:2]]
    table = build("pndm", SCHEDULE, 10, "epsilon", spacing="leading")
    assert relative_error(run_table(table, X, NOISES), x) <= TOLERANCE


def test_heun():
    """Karras et al. 2022, algorithm 1, with v-prediction."""
    sigmas = [10.0, 4.0, 1.5, 0.4, 0.1, 0.0]
    table = build("heun", SCHEDULE, 5, "v", sigmas=sigmas)
    timesteps = np.interp(np.log(sigmas[:-1]), np.log(SCHEDULE.noise_to_signal), np.arange(1000))

    def slope(x, i):
        alpha = 1 / np.sqrt(1 + sigmas[i] ** 2)
        x0 = alpha**2 * x - sigmas[i] * alpha * toy_network(alpha * x, timesteps[i])
        return (x - x0) / sigmas[i]

    x = X * float(table.start[1])
    for i in range(5):
        h = sigmas[i + 1] - sigmas[i]
        d = slope(x, i)
        if sigmas[i + 1] > 0:
            d = (d + slope(x + h * d, i + 1)) / 2
        x = x + h * d
    assert relative_error(run_table(table, X, NOISES), x) <= TOLERANCE


def test_dpmpp_2m():
    """Lu et al. 2022, algorithm 2, first and last step of first order."""
    timesteps = [round(999 * (20 - i) / 20) for i in range(20)]
    x, x0_before, h_before = X, None, None
    for i, t in enumerate(timesteps):
        alpha, sigma = level(t)
        x0 = (x - sigma * toy_network(x, t)) / alpha
        if i == 19:
            x = x0
            break
        alpha_next, sigma_next = level(timesteps[i + 1])
        h = np.log(alpha_next / sigma_next) - np.log(alpha / sigma)
        d = x0
        if x0_before is not None:
            r = h_before / h
            d = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * x0_before
        x = sigma_next / sigma * x - alpha_next * np.expm1(-h) * d
        x0_before, h_before = x0, h
    table = build("dpm++_2m", SCHEDULE, 20, "epsilon")
    assert relative_error(run_table(table, X, NOISES), x) <= TOLERANCE


def test_dpmpp_2s():
    """Lu et al. 2022, algorithm 1, over pairs of levels; the last pair at first order."""
    timesteps = [round(999 * (6 - i) / 6) for i in range(6)]
    x = X
    for i in (0, 2):
        (a0, s0), (a1, s1), (a2, s2) = (level(t) for t in timesteps[i : i + 3])
        lam0, lam1, lam2 = (np.log(a / s) for a, s in ((a0, s0), (a1, s1), (a2, s2)))
        h, r = lam2 - lam0, (lam1 - lam0) / (lam2 - lam0)
        first = (x - s0 * toy_network(x, timesteps[i])) / a0
        u = s1 / s0 * x - a1 * np.expm1(-r * h) * first
        middle = (u - s1 * toy_network(u, timesteps[i + 1])) / a1
        d = (1 - 1 / (2 * r)) * first + 1 / (2 * r) * middle
        x = s2 / s0 * x - a2 * np.expm1(-h) * d
    (a0, s0), (a1, s1) = (level(t) for t in timesteps[4:])
    epsilon = toy_network(x, timesteps[4])
    x = a1 * (x - s0 * epsilon) / a0 + s1 * epsilon
    x = (x - s1 * toy_network(x, timesteps[5])) / a1
    table = build("dpm++_2s", SCHEDULE, 6, "epsilon")
    assert relative_error(run_table(table, X, NOISES), x) <= TOLERANCE


def test_lcm():
    """Luo et al. 2023, algorithm 3: denoise to the end, noise anew to the next timestep."""
    timesteps = [999, 759, 499, 259]
    x = X
    for i, t in enumerate(timesteps):
        alpha, sigma = level(t)
        x0 = alpha * x - sigma * toy_network(x, t)
        c_skip = 0.25 / ((10 * t) ** 2 + 0.25)
        x = c_skip * x + 10 * t / np.sqrt((10 * t) ** 2 + 0.25) * x0
        if i < 3:
            alpha, sigma = level(timesteps[i + 1])
            x = alpha * x + sigma * NOISES[i]
    assert relative_error(run_table(build("lcm", SCHEDULE, 4, "v"), X, NOISES), x) <= TOLERANCE
