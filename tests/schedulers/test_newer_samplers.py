"""Samplers without a scheduler class of diffusers, against loops written from their formulas.

Each loop is in sigma = noise over signal with x = x0 + sigma*noise, as in the programs that people
know these samplers from (k-diffusion, webui, ComfyUI), in float64 and one picture at a time.
"""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from slow_loop import relative_error, run_table, toy_network

from jaxsd.config import ScheduleConfig
from jaxsd.schedulers import NoiseSchedule, Tableau, build

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
TRAINED = SCHEDULE.noise_to_signal
SIGMAS = [14.0, 8.5, 4.9, 2.6, 1.4, 0.8, 0.35, 0.12, 0.0]
ABOVE = [*SIGMAS[:-1], 0.04]
rng = np.random.default_rng(0)
X, NOISES = rng.standard_normal((2, 3, 3, 4)), rng.standard_normal((120, 2, 3, 3, 4))
TOLERANCE = 3e-6  # the tables' float32

Denoise = Callable[[np.ndarray, float], np.ndarray]


def denoised(x: np.ndarray, sigma: float) -> np.ndarray:
    """x0 of the toy network as an epsilon-prediction, told a fractional timestep."""
    timestep = np.interp(np.log(sigma), np.log(TRAINED), np.arange(1000))
    return x - sigma * toy_network(x / np.sqrt(1 + sigma**2), timestep)


def assert_agrees(table: Tableau, want: np.ndarray) -> None:
    assert relative_error(run_table(table, X, NOISES), want) <= TOLERANCE


def of(name: str, sigmas: list[float], **options: object) -> tuple[Tableau, np.ndarray]:
    """The table on sigmas, and the sample it begins with, whose signal is unscaled."""
    table = build(name, SCHEDULE, len(sigmas) - 1, "epsilon", sigmas=sigmas, **options)
    return table, X * float(table.start[1]) / float(table.alpha[0])


def split(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """sigma_down and sigma_up of k-diffusion."""
    up = min(sigma_next, eta * np.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2))
    return np.sqrt(sigma_next**2 - up**2), up


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_dpmpp_sde(eta: float) -> None:
    """Brownian increments: W of a whole step is the sum of those of its parts."""
    table, x = of("dpm++_sde", SIGMAS, eta=eta)
    for i, (s, e) in enumerate(itertools.pairwise(SIGMAS[:-1])):
        m = np.exp((np.log(s) + np.log(e)) / 2)
        to_middle, from_middle = np.sqrt(s - m) * NOISES[2 * i], np.sqrt(m - e) * NOISES[2 * i + 1]
        d = denoised(x, s)
        down, up = split(s, m, eta)
        there = down / s * x + (1 - down / s) * d + up * to_middle / np.sqrt(s - m)
        d = denoised(there, m)
        down, up = split(s, e, eta)
        whole = (to_middle + from_middle) / np.sqrt(s - e)
        x = down / s * x + (1 - down / s) * d + up * whole
    assert_agrees(table, denoised(x, SIGMAS[-2]))


def test_dpmpp_2s_a() -> None:
    table, x = of("dpm++_2s_a", SIGMAS)
    for i, (s, e) in enumerate(itertools.pairwise(SIGMAS[:-1])):
        down, up = split(s, e, 1.0)
        t, t_next = -np.log(s), -np.log(down)
        h, m = t_next - t, np.exp(-(t + (t_next - t) / 2))
        there = m / s * x - np.expm1(-h / 2) * denoised(x, s)
        x = down / s * x - np.expm1(-h) * denoised(there, m) + NOISES[2 * i + 1] * up
    assert_agrees(table, denoised(x, SIGMAS[-2]))


def test_dpmpp_3m_sde() -> None:
    """k-diffusion's. In diffusers' third order for the SDE the weight of the curvature, phi_3, has
    1/2 with the other sign: it does not vanish with the step, as test_order.py asks of it.
    """
    timesteps = [round(999 * (8 - i) / 8) for i in range(8)]
    sigmas = [*TRAINED[timesteps], 0.0]
    table = build("dpm++_3m_sde", SCHEDULE, 8, "epsilon")
    x, old, steps = X * np.sqrt(1 + sigmas[0] ** 2), [], []
    for i, s in enumerate(sigmas[:-1]):
        d = x - s * toy_network(x / np.sqrt(1 + s**2), timesteps[i])
        if i == 7:
            x = d
            break
        h = np.log(s) - np.log(sigmas[i + 1])
        x = np.exp(-2 * h) * x + (1 - np.exp(-2 * h)) * d
        phi_2 = (np.exp(-2 * h) - 1) / (2 * h) + 1
        if len(old) == 1:
            x = x + phi_2 * (d - old[0]) / (steps[0] / h)
        elif len(old) == 2:
            r0, r1 = steps[0] / h, steps[1] / h
            first, second = (d - old[0]) / r0, (old[0] - old[1]) / r1
            phi_3 = phi_2 / (2 * h) - 0.5
            x = x + phi_2 * (first + (first - second) * r0 / (r0 + r1))
            x = x - phi_3 * (first - second) / (r0 + r1)
        x = x + NOISES[i] * sigmas[i + 1] * np.sqrt(1 - np.exp(-2 * h))
        old, steps = [d, *old[:1]], [h, *steps[:1]]
    assert_agrees(table, x)


@pytest.mark.parametrize("sigmas", [SIGMAS, ABOVE])
def test_ipndm(sigmas: list[float]) -> None:
    table, x = of("ipndm", sigmas)
    weights = {1: [1], 2: [3 / 2, -1 / 2], 3: [23 / 12, -16 / 12, 5 / 12],
               4: [55 / 24, -59 / 24, 37 / 24, -9 / 24]}  # fmt: skip
    slopes: list[np.ndarray] = []
    for s, e in itertools.pairwise(sigmas):
        slopes = [(x - denoised(x, s)) / s, *slopes[:3]]
        used = weights[len(slopes)] if e > 0 else [1]
        x = x + (e - s) * sum(w * d for w, d in zip(used, slopes[: len(used)], strict=True))
    end = 1 if sigmas[-1] == 0 else float(table.alpha[-1])
    assert_agrees(table, x * end)


@pytest.mark.parametrize("gamma", [0.4, 1.0])
def test_bdia(gamma: float) -> None:
    """DDIM's step, and the error that it would have made on the way to the sample before."""
    table = build("bdia", SCHEDULE, 8, "epsilon", gamma=gamma, set_alpha_to_one=True)
    x = before = X * float(table.start[1])
    for row in range(8):
        noise = toy_network(x, float(table.timestep[row]))
        a, s = (np.float64(level) for level in (table.alpha, table.sigma))
        x0 = (x - s[row] * noise) / a[row]
        there = a[max(row - 1, 0)] * x0 + s[max(row - 1, 0)] * noise
        x, before = a[row + 1] * x0 + s[row + 1] * noise + gamma * (before - there), x
    assert_agrees(table, x)


@pytest.mark.parametrize("gamma", [1.0, 2.0, 2.5])
def test_gradient_estimation(gamma: float) -> None:
    table, x = of("gradient_estimation", SIGMAS, gamma=gamma)
    before = None
    for s, e in itertools.pairwise(SIGMAS):
        d = (x - denoised(x, s)) / s
        x = x + d * (e - s)
        if before is not None and e > 0:
            x = x + (gamma - 1) * (d - before) * (e - s)
        before = d
    assert_agrees(table, x)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_res_multistep(eta: float) -> None:
    table, x = of("res_multistep", SIGMAS, eta=eta)
    old, old_down = None, None
    for i, (s, e) in enumerate(itertools.pairwise(SIGMAS)):
        d = denoised(x, s)
        down, up = split(s, e, eta)
        if down == 0 or old is None:
            x = x + (x - d) / s * (down - s)
        else:
            t, t_old, t_next, t_before = (-np.log(v) for v in (s, old_down, down, SIGMAS[i - 1]))
            h = t_next - t
            c = (t_before - t_old) / h
            phi_1 = np.expm1(-h) / -h
            phi_2 = (phi_1 - 1) / -h
            x = np.exp(-h) * x + h * ((phi_1 - phi_2 / c) * d + phi_2 / c * old)
        x = x + NOISES[i] * up
        old, old_down = d, down
    assert_agrees(table, x)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_er_sde(order: int) -> None:
    table, x = of("er_sde", SIGMAS, order=order)

    def scale(v: np.ndarray) -> np.ndarray:
        return v * (np.exp(v**0.3) + 10)

    old, old_slope = None, None
    for i, (s, e) in enumerate(itertools.pairwise(SIGMAS)):
        d = denoised(x, s)
        if e == 0:
            x = d
            break
        r, h = scale(e) / scale(s), e - s
        x = r * x + (1 - r) * d
        points = e - h / 200 * np.arange(200)
        slope = None if old is None else (d - old) / (s - SIGMAS[i - 1])
        if order >= 2 and slope is not None:
            x = x + (h - (1 / scale(points)).sum() * h / 200 * scale(e)) * slope
        if order >= 3 and old_slope is not None:
            u = ((points - s) / scale(points)).sum() * -h / 200
            curvature = (slope - old_slope) / ((s - SIGMAS[i - 2]) / 2)
            x = x + (h**2 / 2 + u * scale(e)) * curvature
        x = x + NOISES[i] * np.sqrt(e**2 - s**2 * r**2)
        old, old_slope = d, slope
    assert_agrees(table, x)


def karras(count: int, low: float, high: float) -> np.ndarray:
    ramp = np.linspace(0, 1, count)
    return (high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7


@pytest.mark.parametrize(("steps", "again", "times"), [(20, 9, 1), (40, 10, 2)])
def test_restart(steps: int, again: int, times: int) -> None:
    """webui's: the steps from the level nearest to 2 to that nearest to 0.1, made again."""
    table = build("restart", SCHEDULE, steps, "epsilon", sigmas="exponential")
    whole = np.append(karras(steps - again * times, TRAINED[0], TRAINED[-1]), 0)
    low, high = (int(np.abs(whole - v).argmin()) for v in (0.1, 2))
    pairs = [*itertools.pairwise(whole)]
    levels = karras(again + 1, whole[low], whole[high])
    repeated = [*itertools.pairwise(levels)] * times
    x, last, calls = X * float(table.start[1]), np.inf, 0
    for s, e in pairs[:low] + repeated + pairs[low:]:
        if s > last:
            x = x + NOISES[calls - 1] * np.sqrt(s**2 - last**2)
        d = (x - denoised(x, s)) / s
        there = x + d * (e - s)
        if e > 0:
            d = (d + (there - denoised(there, e)) / e) / 2
        x, last, calls = x + d * (e - s), e, calls + 1 + (e > 0)
    assert table.rows == calls
    assert_agrees(table, x)


def test_few_steps_of_restart_are_heuns() -> None:
    ours, heuns = (build(name, SCHEDULE, 19, "v") for name in ("restart", "heun"))
    for got, want in zip(ours, heuns, strict=True):
        np.testing.assert_array_equal(got, want)


def test_one_gamma_is_eulers_method() -> None:
    want = run_table(build("euler", SCHEDULE, 9, "v"), X, NOISES)
    assert_agrees(build("gradient_estimation", SCHEDULE, 9, "v", gamma=1.0), want)
