"""How n points are spread: whole or fractional timesteps, or noise levels between two ends."""

import numpy as np

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
    """From T-1 to 0, fractional; a single one is T-1. The offset is not used."""
    return np.linspace(train_steps - 1, 0, steps)


def trailing_timesteps(train_steps: int, steps: int, offset: int = 0) -> np.ndarray:
    """From T-1 down in strides of T/n, rounded. The offset is not used."""
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
    return smallest + (largest - smallest) * beta_quantiles(np.linspace(1, 0, steps), 0.6)


def beta_quantiles(q: np.ndarray, a: float) -> np.ndarray:
    """Where the distribution function of Beta(a, a) is `q`, to 1e-15: [n] in [0, 1].

    Up to x = 1/2, where it is 1/2 by symmetry, the function is proportional to the series
    x^a * sum_n (1-a)(2-a)...(n-a)/n! * x^n/(n+a), which is solved by bisection. With SciPy's
    function every start would take half a second longer.
    """
    n = np.arange(60)
    terms = np.cumprod(np.append(1.0, 1 - a / n[1:])) / (n + a)

    def series(x: np.ndarray) -> np.ndarray:
        return x**a * (terms * x[:, None] ** n).sum(axis=1)

    target = 2 * np.minimum(q, 1 - q) * series(np.array([0.5]))
    low, high = np.zeros_like(q), np.full_like(q, 0.5)
    for _ in range(60):
        middle = (low + high) / 2
        below = series(middle) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(q > 0.5, 1 - high, high)


SIGMAS = {
    "karras": karras_sigmas,
    "exponential": exponential_sigmas,
    "beta": beta_sigmas,
}
