"""Where on the noise schedule a sampler calls the network.

Three ways to lay a grid, because the original samplers had three: `training_grid` (DDIM and its
kin: trained timesteps), `sigma_grid` (k-diffusion: fractional timesteps, down to sigma 0) and
`solver_grid` (DPM-Solver and its kin: one point more than steps, of which the last is replaced by
sigma 0).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv

from jaxsd.schedulers.noise import NoiseSchedule


class Grid(NamedTuple):
    """Levels x = alpha*x0 + sigma*noise, alpha^2 + sigma^2 = 1, noisiest first; n calls, float64."""

    timestep: np.ndarray  # [n] what the network is told, may be fractional
    alpha: np.ndarray  # [n+1] of each call, and where sampling ends
    sigma: np.ndarray  # [n+1]
    start: float = 1.0  # scale of the unit noise that stands for the first sample

    @property
    def steps(self) -> int:
        """n."""
        return len(self.timestep)

    @property
    def half_log_snr(self) -> np.ndarray:
        """log(alpha/sigma), the lambda of Lu et al. 2022, [n+1]; +inf where sigma is 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.alpha) - np.log(self.sigma)

    @property
    def noise_to_signal(self) -> np.ndarray:
        """sigma/alpha, the sigma of Karras et al. 2022, [n+1]."""
        return self.sigma / self.alpha


# Timesteps: table 2 of Lin et al. 2023, counted from 0. Float64, descending, [n].


def leading_timesteps(train_steps: int, steps: int, offset: int = 0) -> np.ndarray:
    """Multiples of T//n, plus the offset; never reaches the noisiest timestep."""
    timesteps = (np.arange(steps) * (train_steps // steps) + offset)[::-1].astype(float)
    if timesteps[0] >= train_steps:
        raise ValueError(
            f"leading spacing of {steps} steps with steps_offset {offset} asks for timestep "
            f"{timesteps[0]:g}, but there are 0 to {train_steps - 1}: use fewer steps"
        )
    return timesteps


def linspace_timesteps(train_steps: int, steps: int, offset: int = 0) -> np.ndarray:
    """From T-1 to 0, fractional; one step is T-1. Takes no offset."""
    return np.linspace(train_steps - 1, 0, steps)


def trailing_timesteps(train_steps: int, steps: int, offset: int = 0) -> np.ndarray:
    """From T-1 down in strides of T/n, rounded; takes no offset."""
    return np.round(train_steps - np.arange(steps) * (train_steps / steps)) - 1


SPACINGS = {
    "leading": leading_timesteps,
    "linspace": linspace_timesteps,
    "trailing": trailing_timesteps,
}


# Sigmas (noise over signal) between two ends. Descending, [n].


def karras_sigmas(largest: float, smallest: float, steps: int, rho: float = 7.0) -> np.ndarray:
    """Equally spaced in sigma^(1/rho) (Karras et al. 2022, eq. 5)."""
    return np.linspace(largest ** (1 / rho), smallest ** (1 / rho), steps) ** rho


def exponential_sigmas(largest: float, smallest: float, steps: int) -> np.ndarray:
    """Equally spaced in log sigma."""
    return np.exp(np.linspace(np.log(largest), np.log(smallest), steps))


def beta_sigmas(largest: float, smallest: float, steps: int) -> np.ndarray:
    """Quantiles of Beta(0.6, 0.6), dense at both ends (Lee et al. 2024, "Beta sampling")."""
    return smallest + (largest - smallest) * betaincinv(0.6, 0.6, np.linspace(1, 0, steps))


SIGMAS = {"karras": karras_sigmas, "exponential": exponential_sigmas, "beta": beta_sigmas}


def timestep_of(schedule: NoiseSchedule, sigmas: np.ndarray) -> np.ndarray:
    """Fractional timesteps whose noise over signal is `sigmas`, by interpolation of log sigma."""
    log_sigmas = np.log(schedule.noise_to_signal)
    return np.interp(np.log(sigmas), log_sigmas, np.arange(schedule.train_steps))


def variance_preserving(sigmas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(alpha, sigma) with alpha^2 + sigma^2 = 1 of noise over signal."""
    alpha = 1 / np.sqrt(1 + sigmas**2)
    return alpha, sigmas * alpha


def grid_of_sigmas(schedule: NoiseSchedule, sigmas: np.ndarray) -> Grid:
    """Grid of n+1 given noise-over-signal levels; the last, which may be 0, is where it ends."""
    return Grid(timestep_of(schedule, sigmas[:-1]), *variance_preserving(sigmas))


def training_grid(
    schedule: NoiseSchedule,
    steps: int,
    *,
    spacing: str | None = None,
    steps_offset: int | None = None,
    set_alpha_to_one: bool | None = None,
    timesteps: Sequence[float] | None = None,
) -> Grid:
    """Grid of whole timesteps, spacing "leading" unless said otherwise.

    It ends at alpha 1, or at timestep 0's level (`set_alpha_to_one=False`). None is the schedule's.
    """
    t = _given(timesteps, steps)
    if t is None:
        spacing = spacing or schedule.spacing or "leading"
        t = _spaced(schedule, steps, spacing, steps_offset)
    t = np.round(t)
    if set_alpha_to_one is None:
        set_alpha_to_one = schedule.set_alpha_to_one
    last = 1.0 if set_alpha_to_one else schedule.alphas_cumprod[0]
    alphas_cumprod = np.append(schedule.alphas_cumprod[t.astype(int)], last)
    return Grid(t, np.sqrt(alphas_cumprod), np.sqrt(1 - alphas_cumprod))


def sigma_grid(
    schedule: NoiseSchedule,
    steps: int,
    *,
    spacing: str | None = None,
    steps_offset: int | None = None,
    timesteps: Sequence[float] | None = None,
    sigmas: str | Sequence[float] | None = None,
) -> Grid:
    """Grid of k-diffusion, spacing "linspace" unless said otherwise; ends at sigma 0.

    `sigmas` is a name of `SIGMAS`, laid between the ends of the spaced grid, or n+1 levels.
    """
    if _is_levels(sigmas):
        return _start_at_sigma(grid_of_sigmas(schedule, _levels(sigmas, steps)))
    t = _given(timesteps, steps)
    spacing = spacing or schedule.spacing or "linspace"
    if t is None:
        t = _spaced(schedule, steps, spacing, steps_offset)
    levels = np.interp(t, np.arange(schedule.train_steps), schedule.noise_to_signal)
    if sigmas is not None:
        levels = _named_sigmas(sigmas)(levels[0], levels[-1], steps)
        t = timestep_of(schedule, levels)
    grid = Grid(t, *variance_preserving(np.append(levels, 0.0)))
    # k-diffusion starts from sigma*noise. diffusers does too, except on leading grids, which begin
    # below the trained maximum; there it takes the variance of the noised sample, start = 1.
    return grid if spacing == "leading" else _start_at_sigma(grid)


def solver_grid(
    schedule: NoiseSchedule,
    steps: int,
    *,
    spacing: str | None = None,
    steps_offset: int | None = None,
    timesteps: Sequence[float] | None = None,
    sigmas: str | Sequence[float] | None = None,
) -> Grid:
    """Grid of DPM-Solver, spacing "linspace" unless said otherwise; ends at sigma 0.

    `sigmas` is a name of `SIGMAS`, laid between the ends of the schedule, or n+1 levels.
    """
    if _is_levels(sigmas):
        return grid_of_sigmas(schedule, _levels(sigmas, steps))
    if sigmas is not None:
        ends = schedule.noise_to_signal
        levels = _named_sigmas(sigmas)(ends[-1], ends[0], steps)
        t = timestep_of(schedule, levels)
        # What diffusers tells the network: whole timesteps, rounded for Karras and cut for the others.
        t = np.round(t) if sigmas == "karras" else np.floor(t)
        return Grid(t, *variance_preserving(np.append(levels, 0.0)))
    t = _given(timesteps, steps)
    if t is None:
        spacing = spacing or schedule.spacing or "linspace"
        t = _spaced(schedule, steps if spacing == "trailing" else steps + 1, spacing, steps_offset)
    t = np.round(t[:steps])
    levels = schedule.noise_to_signal[t.astype(int)]
    return Grid(t, *variance_preserving(np.append(levels, 0.0)))


def truncated(grid: Grid, strength: float) -> Grid:
    """The last `strength` of the steps, at least one: the grid of image-to-image.

    Raises:
      ValueError: if strength is not in (0, 1].
    """
    if not 0 < strength <= 1:
        raise ValueError(f"strength {strength} is not allowed: give a number above 0 and up to 1")
    first = grid.steps - max(1, int(grid.steps * strength))
    return Grid(grid.timestep[first:], grid.alpha[first:], grid.sigma[first:], grid.start)


def _spaced(
    schedule: NoiseSchedule, steps: int, spacing: str, steps_offset: int | None
) -> np.ndarray:
    if spacing not in SPACINGS:
        raise ValueError(f"spacing {spacing!r} is unknown: choose one of {', '.join(SPACINGS)}")
    offset = schedule.steps_offset if steps_offset is None else steps_offset
    return SPACINGS[spacing](schedule.train_steps, steps, offset)


def _named_sigmas(name: str):
    if name not in SIGMAS:
        raise ValueError(
            f"sigmas {name!r} is unknown: choose one of {', '.join(SIGMAS)}, or levels"
        )
    return SIGMAS[name]


def _is_levels(sigmas: str | Sequence[float] | None) -> bool:
    return sigmas is not None and not isinstance(sigmas, str)


def _levels(sigmas: Sequence[float], steps: int) -> np.ndarray:
    levels = np.asarray(sigmas, float)
    if levels.shape != (steps + 1,) or np.any(np.diff(levels) >= 0) or levels[-1] < 0:
        raise ValueError(
            f"sigmas must be {steps + 1} falling levels for {steps} steps, the last one 0 or more"
        )
    return levels


def _given(timesteps: Sequence[float] | None, steps: int) -> np.ndarray | None:
    if timesteps is None:
        return None
    t = np.asarray(timesteps, float)
    if t.shape != (steps,) or np.any(np.diff(t) >= 0):
        raise ValueError(f"timesteps must be {steps} falling numbers for {steps} steps")
    return t


def _start_at_sigma(grid: Grid) -> Grid:
    return grid._replace(start=grid.sigma[0])
