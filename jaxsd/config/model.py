"""A whole model: its networks, its noise schedule, and how its files are laid out."""

from dataclasses import dataclass
from typing import Literal

from jaxsd.config.autoencoders import TinyVAEConfig, VAEConfig
from jaxsd.config.encoders import TextConfig, VisionConfig
from jaxsd.config.ranges import WIDEST, check_range
from jaxsd.config.unets import UNetConfig
from jaxsd.distilled import PLAIN, Preset
from jaxsd.types import Prediction


@dataclass(frozen=True)
class EDMConfig:
    """Continuous noise, and the scales of Karras et al. 2022 around the network (EDM).

    x = x0 + sigma*noise, and the network is told log(sigma)/4.

    Attributes:
      sigma_min: the least noise.
      sigma_max: the most.
      sigma_data: standard deviation of the data, for which the network is scaled.
      sigmas: how a drawing's levels lie between the two, where the user does not say.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    sigma_data: float = 0.5
    sigmas: Literal["karras", "exponential"] = "karras"

    def __post_init__(self) -> None:
        """Refuses numbers that make no levels."""
        if not 0 < self.sigma_min < self.sigma_max < 1e5:
            raise ValueError(
                f"sigma_min = {self.sigma_min} and sigma_max = {self.sigma_max} should be rising, "
                "above 0 and below 100000"
            )
        if not 0 < self.sigma_data < 1e5:
            raise ValueError(f"sigma_data = {self.sigma_data} should be above 0 and below 100000")


@dataclass(frozen=True)
class ScheduleConfig:
    """The noise a model was trained with, and the sampling grid that its files ask for.

    With `edm`, betas and zero terminal SNR do not matter; timesteps count levels between its ends.
    `timestep_spacing` is None where the files do not say: then every sampler uses its own default
    (leading for ddim, ddpm and pndm, linspace for most others), as in diffusers when a scheduler is
    made from another one's config.
    """

    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "scaled_linear"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    train_steps: int = 1000
    zero_terminal_snr: bool = False
    set_alpha_to_one: bool = False
    timestep_spacing: Literal["leading", "linspace", "trailing", None] = None
    steps_offset: int = 1
    edm: EDMConfig | None = None

    def __post_init__(self) -> None:
        """Refuses numbers that make no schedule: they may come out of a file."""
        if not 1 <= self.train_steps <= 100_000:
            raise ValueError(f"train_steps = {self.train_steps} should be 1 to 100000")
        for name in ("beta_start", "beta_end"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} should be above 0 and below 1")
        if not 0 <= self.steps_offset < self.train_steps:
            raise ValueError(
                f"steps_offset = {self.steps_offset} should be 0 to {self.train_steps - 1}"
            )

    @property
    def spacing(self) -> str | None:
        """The spacing to use. Zero terminal SNR without a stated one asks for trailing.

        The last timestep is what it was trained for (Lin et al. 2023, section 3.3), and leading
        spacing never visits it.
        """
        if self.timestep_spacing is None and self.zero_terminal_snr:
            return "trailing"
        return self.timestep_spacing


@dataclass(frozen=True)
class SmallConfig:
    """How noise is added to the small picture that a model enlarges.

    Attributes:
      schedule: its levels.
      most: the highest of them that the model was trained with.
    """

    schedule: ScheduleConfig
    most: int = 350

    def __post_init__(self) -> None:
        """Checks that there is such a level."""
        check_range(self, self.schedule.train_steps - 1, "most", least=0)


@dataclass(frozen=True)
class SightConfig:
    """How a model sees a picture by CLIP.

    Attributes:
      vision: CLIP's vision tower.
      noise: levels of the noise in the picture's embedding, whose projection is added to that of
        the time (unCLIP); None where the embedding takes the place of a text (image variations).
    """

    vision: VisionConfig
    noise: ScheduleConfig | None = None


@dataclass(frozen=True)
class Layout:
    """Facts about files, not about networks.

    Attributes:
      linear_projection: whether `proj_in` and `proj_out` are stored as `[O, I]` (SD 2, XL) or as
        1x1 convolutions `[O, I, 1, 1]` (SD 1).
      single_file: naming of the original code's files: "v1" (HF CLIP-L inside), "v2" (OpenCLIP-H),
        "xl", "refiner".
    """

    linear_projection: bool
    single_file: Literal["v1", "v2", "xl", "refiner"]


@dataclass(frozen=True)
class ModelSpec:
    """Everything about a model except its weights.

    Attributes:
      family: name in `jaxsd.families`, or "custom".
      default_size: height and width in pixels that suit it best.
      guidance_scale: the guidance scale that suits it best.
      preset: the sampler and steps that suit it best.
      zero_empty_negative: whether an empty negative prompt is a context of zeros, as XL base was
        trained, rather than the encoding of an empty text.
      small: of a model that enlarges a picture; None for all others.
      sight: of a model that draws variations of a picture; None for all others.
    """

    family: str
    unet: UNetConfig
    vae: VAEConfig | TinyVAEConfig | None
    text: tuple[TextConfig, ...]
    schedule: ScheduleConfig
    prediction: Prediction
    layout: Layout
    default_size: int
    guidance_scale: float = 7.5
    zero_empty_negative: bool = False
    preset: Preset = PLAIN
    small: SmallConfig | None = None
    sight: SightConfig | None = None

    def __post_init__(self) -> None:
        """Checks the size, and that a network is scaled as it is for one of two predictions."""
        check_range(self, WIDEST, "default_size")
        if (self.unet.sees == "small") != (self.small is not None):
            raise ValueError("a U-Net that sees a small picture, and its noise, go together")
        if self.small is not None and self.unet.noise_levels <= self.small.most:
            levels = self.unet.noise_levels
            raise ValueError(f"noise_levels = {levels} are not more than {self.small.most}")
        label = None
        if self.sight is not None and self.sight.noise is not None:
            label = 2 * self.sight.vision.projection_dim
        if self.unet.label_dim != label:
            raise ValueError(
                f"the U-Net takes a label of width {self.unet.label_dim}, and that of a picture's "
                f"embedding and its noise is {label}"
            )
        if self.schedule.edm is not None and self.prediction == "sample":
            raise ValueError("prediction 'sample' is none of EDM models: give epsilon or v")
