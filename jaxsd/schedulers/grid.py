"""Where on the noise schedule a sampler calls the network.

The original samplers have four kinds of grids: `training_grid` (DDIM and similar: trained
timesteps), `sigma_grid` (k-diffusion: fractional timesteps), `solver_grid` (DPM-Solver and similar:
one point more than steps, the last replaced) and `distillation_grid` (LCM, TCD).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxsd.schedulers.given import given_sigmas, given_timesteps
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.spacing import SIGMAS, SPACINGS
from jaxsd.schedulers.trained_sigmas import TRAINED_SIGMAS


class Grid(NamedTuple):
    """n levels at which the network is called, noisiest first, and the level of the result.

    x = alpha*x0 + sigma*noise with alpha^2 + sigma^2 = 1, unless `unscaled`. Float64.
    """

    timestep: np.ndarray  # [n] given to the network, may be fractional
    alpha: np.ndarray  # [n+1]
    sigma: np.ndarray  # [n+1]
    start: tuple[float, float] = (0.0, 1.0)  # the first sample as weights of (picture, unit noise)

    @property
    def steps(self) -> int:
        """The number of calls, n."""
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

    @property
    def unscaled(self) -> "Grid":
        """The same levels as x = x0 + sigma*noise, in which k-diffusion works."""
        return self._replace(
            alpha=np.ones_like(self.alpha),
            sigma=self.noise_to_signal,
            start=(self.start[0] / self.alpha[0], self.start[1] / self.alpha[0]),
        )

    def visiting(self, levels: np.ndarray) -> "Grid":
        """The grid at the levels of these numbers, for methods that call twice at a level."""
        return self._replace(
            timestep=self.timestep[levels[:-1]], alpha=self.alpha[levels], sigma=self.sigma[levels]
        )

    def truncated(self, strength: float) -> "Grid":
        """The last `strength` (0, 1] of the steps, at least one: the grid of image-to-image.

        It starts from the picture, noised to the first level that is left; with strength 1, from
        noise alone.

        Raises:
          ValueError: if strength is out of range.
        """
        if not 0 < strength <= 1:
            raise ValueError(f"strength must be above 0 and at most 1, not {strength}")
        if strength == 1:
            return self
        first = self.steps - max(1, int(self.steps * strength))
        left = self.visiting(np.arange(first, self.steps + 1))
        return left._replace(start=(left.alpha[0], left.sigma[0]))


def training_grid(
    schedule: NoiseSchedule,
    steps: int,
    *,
    spacing: str | None = None,
    steps_offset: int | None = None,
    set_alpha_to_one: bool | None = None,
    timesteps: Sequence[float] | None = None,
) -> Grid:
    """Grid of whole timesteps; its spacing is the caller's, else the schedule's, else "leading".

    It ends at alpha 1 (`set_alpha_to_one`) or at timestep 0's level. In diffusers, DDIM and PNDM
    step by T//n on linspace and trailing grids too; here they step to the next timestep.
    """
    if timesteps is None:
        spacing = spacing or schedule.spacing or "leading"
        t = spaced_timesteps(schedule, steps, spacing, steps_offset)
    else:
        t = given_timesteps(schedule, timesteps, steps)
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
    """Grid of k-diffusion; its spacing is the caller's, else the schedule's, else "linspace".

    `sigmas` is a name of `SIGMAS`, for levels between the ends of the spaced grid, or of
    `TRAINED_SIGMAS`, or a list of n+1 levels, of which the last is the end. Without such a list the
    grid ends at sigma 0.
    """
    spacing = spacing or schedule.spacing or "linspace"
    if sigmas is not None and not isinstance(sigmas, str):
        grid = grid_of_sigmas(schedule, given_sigmas(sigmas, steps))
    else:
        if timesteps is None:
            t = spaced_timesteps(schedule, steps, spacing, steps_offset)
        else:
            t = given_timesteps(schedule, timesteps, steps)
        levels = np.interp(t, np.arange(schedule.train_steps), schedule.noise_to_signal)
        if sigmas is not None:
            levels = named_sigmas(schedule, sigmas, (levels[0], levels[-1]), steps)
            t = timestep_of(schedule, levels)
        grid = Grid(t, *variance_preserving(np.append(levels, 0.0)))
    # k-diffusion starts from sigma*noise. So does diffusers, except on leading grids, which begin
    # below the highest trained level, and with EDM; there it has the variance of a noised image.
    whole = spacing == "leading" or schedule.edm is not None
    return grid if whole else grid._replace(start=(0.0, grid.sigma[0]))


def solver_grid(
    schedule: NoiseSchedule,
    steps: int,
    *,
    spacing: str | None = None,
    steps_offset: int | None = None,
    timesteps: Sequence[float] | None = None,
    sigmas: str | Sequence[float] | None = None,
    final_sigma: str = "zero",
) -> Grid:
    """Grid of DPM-Solver; its spacing is the caller's, else the schedule's, else "linspace".

    `sigmas` is a name of `SIGMAS`, for levels between the ends of the schedule, or of
    `TRAINED_SIGMAS`, or a list of n+1 levels, of which the last is the end. Without such a list the
    grid ends at `final_sigma`: "zero", or "smallest", which is timestep 0's.
    """
    if sigmas is not None and not isinstance(sigmas, str):
        return grid_of_sigmas(schedule, given_sigmas(sigmas, steps))
    trained = schedule.noise_to_signal
    ends = {"zero": 0.0, "smallest": trained[0]}
    if final_sigma not in ends:
        raise ValueError(f"final_sigma {final_sigma!r} is unknown: choose one of {', '.join(ends)}")
    if sigmas is not None:
        levels = named_sigmas(schedule, sigmas, (trained[-1], trained[0]), steps)
        t = timestep_of(schedule, levels)
    else:
        if timesteps is None:
            spacing = spacing or schedule.spacing or "linspace"
            points = steps if spacing == "trailing" else steps + 1
            t = spaced_timesteps(schedule, points, spacing, steps_offset)[:steps]
        else:
            t = given_timesteps(schedule, timesteps, steps)
        levels = trained[np.round(t).astype(int)]
    return Grid(np.round(t), *variance_preserving(np.append(levels, ends[final_sigma])))


def distillation_grid(
    schedule: NoiseSchedule,
    steps: int,
    *,
    original_steps: int = 50,
    timesteps: Sequence[float] | None = None,
) -> Grid:
    """Grid of LCM and TCD: spread over the timesteps of the distillation, every
    (T/original_steps)th from T-1 down. It ends at timestep 0's level.

    Raises:
      ValueError: for more steps than `original_steps`.
    """
    if timesteps is None:
        if type(original_steps) is not int or not 1 <= original_steps <= schedule.train_steps:
            raise ValueError(
                f"original_steps must be 1 to {schedule.train_steps}, not {original_steps}"
            )
        if steps > original_steps:
            raise ValueError(
                f"steps must be 1 to {original_steps}, the original_steps of a distilled model, "
                f"not {steps}"
            )
        trained = np.arange(original_steps, 0, -1) * (schedule.train_steps // original_steps) - 1
        t = trained[np.arange(steps) * original_steps // steps].astype(float)
    else:
        t = given_timesteps(schedule, timesteps, steps)
    visited = np.append(np.round(t), 0).astype(int)
    return Grid(t, schedule.alpha[visited], schedule.sigma[visited])


def grid_of_sigmas(schedule: NoiseSchedule, sigmas: np.ndarray) -> Grid:
    """Grid of n+1 noise-over-signal levels; the last, which may be 0, is where it ends."""
    return Grid(timestep_of(schedule, sigmas[:-1]), *variance_preserving(sigmas))


def timestep_of(schedule: NoiseSchedule, sigmas: np.ndarray) -> np.ndarray:
    """Fractional timesteps of noise-over-signal levels, by interpolation of their logarithm."""
    trained = np.log(schedule.noise_to_signal)
    return np.interp(np.log(sigmas), trained, np.arange(schedule.train_steps))


def variance_preserving(sigmas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(alpha, sigma), alpha^2 + sigma^2 = 1, of noise-over-signal levels."""
    alpha = 1 / np.sqrt(1 + sigmas**2)
    return alpha, sigmas * alpha


def spaced_timesteps(
    schedule: NoiseSchedule, steps: int, spacing: str, steps_offset: int | None
) -> np.ndarray:
    """Timesteps of a named spacing, [n]; the schedule's offset where `steps_offset` is None."""
    if spacing not in SPACINGS:
        raise ValueError(f"spacing {spacing!r} is unknown: choose one of {', '.join(SPACINGS)}")
    offset = schedule.steps_offset if steps_offset is None else steps_offset
    if type(offset) is not int or offset < 0:
        raise ValueError(f"steps_offset must be a whole number of 0 or more, not {offset}")
    return SPACINGS[spacing](schedule.train_steps, steps, offset)


def named_sigmas(
    schedule: NoiseSchedule, name: str, ends: tuple[float, float], steps: int
) -> np.ndarray:
    """Levels of a name of `SIGMAS`, between two ends, or of `TRAINED_SIGMAS`, [n]."""
    if name in SIGMAS:
        return SIGMAS[name](*ends, steps)
    if name in TRAINED_SIGMAS:
        return TRAINED_SIGMAS[name](schedule.noise_to_signal, steps)
    known = ", ".join((*SIGMAS, *TRAINED_SIGMAS))
    raise ValueError(f"sigmas {name!r} is unknown: choose one of {known}, or give the levels")
