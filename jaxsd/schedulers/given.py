"""Timesteps and noise levels that a user gives."""

from collections.abc import Sequence

import numpy as np

from jaxsd.schedulers.noise import NoiseSchedule


def given_timesteps(schedule: NoiseSchedule, timesteps: Sequence[float], steps: int) -> np.ndarray:
    """A user's timesteps, [n], if they decrease and lie within 0..T-1."""
    t = falling(timesteps, steps)
    if t is None:
        raise ValueError(f"timesteps must be {steps} falling numbers for {steps} steps")
    if t[0] > schedule.train_steps - 1 or t[-1] < 0:
        raise ValueError(f"timesteps must be within 0 to {schedule.train_steps - 1}")
    return t


def given_sigmas(sigmas: Sequence[float], steps: int) -> np.ndarray:
    """A user's noise-over-signal levels, [n+1], if they decrease and are 0 or more."""
    levels = falling(sigmas, steps + 1)
    if levels is None or levels[-1] < 0:
        raise ValueError(
            f"sigmas must be {steps + 1} falling numbers for {steps} steps, the last 0 or more"
        )
    return levels


def falling(values: Sequence[float], count: int) -> np.ndarray | None:
    """The values as [count] float64 if they are so many finite numbers, each below the last."""
    try:
        numbers = np.asarray(values, float)
    except (TypeError, ValueError):
        return None
    right = (
        numbers.shape == (count,) and np.isfinite(numbers).all() and (np.diff(numbers) < 0).all()
    )
    return numbers if right else None
