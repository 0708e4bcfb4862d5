"""ComfyUI's and webui's grids, against their rules written out one level at a time."""

import math

import numpy as np
import pytest

from jaxsd.config import ScheduleConfig
from jaxsd.schedulers import NoiseSchedule, build
from jaxsd.schedulers.spacing import exponential_sigmas
from jaxsd.schedulers.trained_sigmas import ALIGNED, ALIGNED_XL, TRAINED_SIGMAS

TRAINED = NoiseSchedule.from_config(ScheduleConfig()).noise_to_signal
STEPS = (1, 2, 7, 10, 20, 30, 150)


def at(timestep: float) -> float:
    """The level of a fractional timestep: between its neighbours in log sigma."""
    below, share = int(timestep), timestep - int(timestep)
    above = min(below + 1, len(TRAINED) - 1)
    return math.exp((1 - share) * math.log(TRAINED[below]) + share * math.log(TRAINED[above]))


def expected(name: str, steps: int) -> list[float]:
    last = len(TRAINED) - 1
    if name == "simple":
        return [TRAINED[-(1 + int(i * (len(TRAINED) / steps)))] for i in range(steps)]
    if name == "ddim_uniform":
        found, place = [], 1
        while place < len(TRAINED):
            found.insert(0, TRAINED[place])
            place += max(len(TRAINED) // steps, 1)
        return found
    if name == "normal":
        return [at(last * (1 - i / max(steps - 1, 1))) for i in range(steps)]
    if name == "sgm_uniform":
        return [at(last * (1 - i / steps)) for i in range(steps)]
    if name == "kl_optimal":
        low, high = math.atan(TRAINED[0]), math.atan(TRAINED[-1])
        shares = [i / max(steps - 1, 1) for i in range(steps)]
        return [math.tan(a * low + (1 - a) * high) for a in shares]
    if name == "polyexponential":
        return exponential_sigmas(TRAINED[-1], TRAINED[0], steps).tolist()
    table = ALIGNED_XL if name.endswith("xl") else ALIGNED
    found = []
    for i in range(steps):
        below, share = divmod(i * 10 / steps, 1)
        low, high = table[int(below)], table[int(below) + 1]
        found.append(low ** (1 - share) * high**share)
    return found


# ComfyUI's figures for 4, 10 and 20 steps with the coefficient 1.2, each without its end.
GITS = {
    4: [14.61464119, 2.36326075, 0.92192322, 0.36617002],
    10: [14.61464119, 5.85520077, 2.84484982, 1.67050016, 1.08895338, 0.74807048, 0.50118381,
         0.32104823, 0.19894916, 0.09824532],
    20: [14.61464119, 7.49001646, 4.65472794, 3.07277966, 2.19988537, 1.61558151, 1.24153244,
         0.95350921, 0.74807048, 0.59516323, 0.50118381, 0.41087446, 0.34370604, 0.29807833,
         0.25053367, 0.22545385, 0.19894916, 0.17026083, 0.13792117, 0.09824532],
}  # fmt: skip


def test_gits() -> None:
    """Its authors' interpolation between timesteps is another, by 3e-5 at most."""
    for steps in range(1, 60):
        got = TRAINED_SIGMAS["gits"](TRAINED, steps)
        assert len(got) == steps
        assert (np.diff(got) < 0).all()
        if steps in GITS:
            np.testing.assert_allclose(got, GITS[steps], rtol=3e-5)
    twice = TRAINED_SIGMAS["gits"](TRAINED, 40)
    np.testing.assert_allclose(twice[::2], TRAINED_SIGMAS["gits"](TRAINED, 20), rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in TRAINED_SIGMAS if name != "gits"])
def test_levels(name: str) -> None:
    for steps in STEPS:
        got = TRAINED_SIGMAS[name](TRAINED, steps)
        np.testing.assert_allclose(got, expected(name, steps), rtol=1e-9)
        assert (np.diff(got) < 0).all()


def test_ten_aligned_steps_are_the_papers() -> None:
    """The last of its eleven levels is where the paper's tables end; the result is at 0."""
    table = build("euler", NoiseSchedule.from_config(ScheduleConfig()), 10, "epsilon",
                  sigmas="align_your_steps_xl")  # fmt: skip
    np.testing.assert_allclose(table.sigma, [*ALIGNED_XL[:-1], 0], rtol=1e-6)


def test_ddim_uniform_may_have_more_steps() -> None:
    schedule = NoiseSchedule.from_config(ScheduleConfig())
    rows = [build("euler_ddim_uniform", schedule, steps, "v").rows for steps in (20, 30)]
    assert rows == [20, 31]
