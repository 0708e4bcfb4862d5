"""How n points are spread: whole or fractional timesteps, or noise levels between two ends."""

import numpy as np
from scipy.special import betaincinv

# Timesteps 0..T-1, descending, [n] float64 (Lin et al. 2023, table 2, counted from 0).


def leading_timesteps(train_steps: int, steps: int, offset: int = 0) -> np.ndarray:
    """Multiples of T//n plus the offset: never the noisiest timestep.

    Raises:
      ValueError: where the offset leads beyond T-1.
    """
    timesteps = (np.arange(steps) * (train_steps // steps) + offset)[::-1].astype(float)
    if timesteps[0] >= train_steps:
        raise ValueError(
            f"leading spacing of {steps} steps with steps_offset {offset} asks for timestep "
            f"{timesteps[0]:g}, but there are 0 to {train_steps - 1}: use fewer steps"
        )
    return timesteps


def linspace_timesteps(train_steps: int, steps: int, offset: int = 0) -> np.ndarray:
    """From T-1 to 0, fractional; a single one is T-1. The offset plays no part."""
    return np.linspace(train_steps - 1, 0, steps)


def trailing_timesteps(train_steps: int, steps: int, offset: int = 0) -> np.ndarray:
    """From T-1 down in strides of T/n, rounded. The offset plays no part."""
    return np.round(train_steps - np.arange(steps) * (train_steps / steps)) - 1


SPACINGS = {
    "leading": leading_timesteps,
    "linspace": linspace_timesteps,
    "trailing": trailing_timesteps,
}


# Noise over signal, descending, [n] float64, both ends included; a single one is the largest.


def karras_sigmas(largest: float, smallest: float, steps: int, rho: float = 7.0) -> np.ndarray:
    """Equally spaced in sigma^(1/rho) (Karras et al. 2022, eq. 5)."""
    return np.linspace(largest ** (1 / rho), smallest ** (1 / rho), steps) ** rho


def exponential_sigmas(largest: float, smallest: float, steps: int) -> np.ndarray:
    """Equally spaced in log sigma."""
    return np.exp(np.linspace(np.log(largest), np.log(smallest), steps))


def beta_sigmas(largest: float, smallest: float, steps: int) -> np.ndarray:
    """Quantiles of Beta(0.6, 0.6), dense at both ends (Lee et al. 2024, "Beta sampling")."""
    return smallest + (largest - smallest) * betaincinv(0.6, 0.6, np.linspace(1, 0, steps))


SIGMAS = {
    "karras": karras_sigmas,
    "exponential": exponential_sigmas,
    "beta": beta_sigmas,
}
