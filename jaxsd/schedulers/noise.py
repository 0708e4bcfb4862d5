"""How much noise a model was trained with at each timestep."""

from dataclasses import dataclass

import numpy as np

from jaxsd.config import EDMConfig, ScheduleConfig
from jaxsd.schedulers.edm import trained_levels

STANDS_FOR_ZERO = 2.0**-24
"""Value of alphas_cumprod at zero terminal SNR where a method divides by alpha: float16's smallest
subnormal number, as in diffusers."""


@dataclass(frozen=True)
class NoiseSchedule:
    """Noise levels x = alpha*x0 + sigma*noise of the trained timesteps, and the checkpoint's grid.

    Attributes:
      alphas_cumprod: [T] float64 in [0, 1], decreasing; alpha^2 of each timestep.
      spacing: "leading", "linspace", "trailing", or None where the checkpoint does not say and
        every sampler uses its own default.
      steps_offset: added to the timesteps of leading spacing.
      set_alpha_to_one: whether ddim and pndm end without noise, or at timestep 0's level.
      edm: of a network that knows noise by its level; timesteps count levels then.
    """

    alphas_cumprod: np.ndarray
    spacing: str | None = None
    steps_offset: int = 0
    set_alpha_to_one: bool = False
    edm: EDMConfig | None = None

    @classmethod
    def from_config(cls, config: ScheduleConfig) -> "NoiseSchedule":
        """The schedule that a checkpoint's numbers describe.

        Raises:
          ValueError: if `beta_schedule` is none of `BETAS`.
        """
        if config.edm is not None:
            levels = trained_levels(config.edm, config.train_steps)
            return cls(levels, "linspace", set_alpha_to_one=True, edm=config.edm)
        if config.beta_schedule not in BETAS:
            allowed = ", ".join(BETAS)
            raise ValueError(
                f"beta_schedule {config.beta_schedule!r} is unknown: choose one of {allowed}"
            )
        betas = BETAS[config.beta_schedule](config.beta_start, config.beta_end, config.train_steps)
        alphas_cumprod = np.cumprod(1 - betas)
        if config.zero_terminal_snr:
            alphas_cumprod = zero_terminal_snr(alphas_cumprod)
        return cls(
            alphas_cumprod,
            spacing=config.spacing,
            steps_offset=config.steps_offset,
            set_alpha_to_one=config.set_alpha_to_one,
        )

    @property
    def train_steps(self) -> int:
        """T; timesteps are 0..T-1."""
        return len(self.alphas_cumprod)

    @property
    def alpha(self) -> np.ndarray:
        """Weight of x0 at each timestep, [T]."""
        return np.sqrt(self.alphas_cumprod)

    @property
    def sigma(self) -> np.ndarray:
        """Weight of the noise at each timestep, [T]; alpha^2 + sigma^2 = 1."""
        return np.sqrt(1 - self.alphas_cumprod)

    @property
    def log_snr(self) -> np.ndarray:
        """log(alpha^2 / sigma^2) of each timestep, [T]; -inf at zero terminal SNR."""
        with np.errstate(divide="ignore"):
            return np.log(self.alphas_cumprod) - np.log1p(-self.alphas_cumprod)

    @property
    def noise_to_signal(self) -> np.ndarray:
        """sigma/alpha of each timestep, [T]: the sigma of Karras et al.; 4096 where alpha is 0."""
        alphas_cumprod = np.where(self.alphas_cumprod == 0, STANDS_FOR_ZERO, self.alphas_cumprod)
        return np.sqrt((1 - alphas_cumprod) / alphas_cumprod)


def linear_betas(start: float, end: float, train_steps: int) -> np.ndarray:
    """Betas of DDPM, [T]: equally spaced (Ho et al. 2020, section 4)."""
    return np.linspace(start, end, train_steps)


def scaled_linear_betas(start: float, end: float, train_steps: int) -> np.ndarray:
    """Betas of latent diffusion, [T]: their square roots are equally spaced."""
    return np.linspace(np.sqrt(start), np.sqrt(end), train_steps) ** 2


def squared_cosine_betas(start: float, end: float, train_steps: int) -> np.ndarray:
    """Betas that make alphas_cumprod a squared cosine, [T] (Nichol & Dhariwal 2021, eq. 17).

    `start` and `end` are not used; the cap of 0.999 is the paper's.
    """
    t = np.arange(train_steps + 1) / train_steps
    alphas_cumprod = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1 - alphas_cumprod[1:] / alphas_cumprod[:-1], 0.999)


BETAS = {
    "linear": linear_betas,
    "scaled_linear": scaled_linear_betas,
    "squaredcos_cap_v2": squared_cosine_betas,
}


def zero_terminal_snr(alphas_cumprod: np.ndarray) -> np.ndarray:
    """The schedule shifted and scaled so that its last level is noise alone, [T].

    Lin et al. 2023, "Common diffusion noise schedules and sample steps are flawed", algorithm 1.
    """
    alpha = np.sqrt(alphas_cumprod)
    return ((alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])) ** 2
