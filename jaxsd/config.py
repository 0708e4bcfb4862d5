"""What a model is made of, as frozen numbers. No model name and no block-type string here.

Numbers that no network can have are a `ValueError`, wherever they come from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jaxsd.distilled import PLAIN, Preset
from jaxsd.types import Prediction

_WIDEST = 2**16
_DEEPEST = 256
_MOST_WORDS = 2**22


def _check_range(config: Any, most: int, *names: str, least: int = 1) -> None:
    """Refuses numbers outside of `least` to `most`, alone or in tuples; None is no number."""
    for name in names:
        value = getattr(config, name)
        numbers = value if isinstance(value, tuple) else () if value is None else (value,)
        if not all(least <= number <= most for number in numbers) or value == ():
            raise ValueError(f"{name} = {value!r} is not {least} to {most}")


def _check_divides(name: str, parts: int, whole: str, widths: Sequence[int]) -> None:
    for width in widths:
        if width % parts:
            raise ValueError(f"{name} = {parts} does not divide {whole} = {width}")


def _check_even(name: str, width: int) -> None:
    if width % 2:
        raise ValueError(f"{name} = {width} is odd")


def _check_levels(count: int) -> None:
    if not 1 <= count <= 8:
        raise ValueError(f"{count} levels are not 1 to 8")


@dataclass(frozen=True)
class Level:
    """One resolution of a U-Net.

    Attributes:
      channels: width of every resnet of the level.
      resnets: resnets on the way down; the way up has one more.
      attention_depth: transformer blocks in each attention; 0 where the level has none.
      heads: attention heads; the mid block has those of the last level.
    """

    channels: int
    resnets: int
    attention_depth: int
    heads: int

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check_range(self, _WIDEST, "channels", "heads")
        _check_range(self, 16, "resnets")
        _check_range(self, 32, "attention_depth", least=0)


@dataclass(frozen=True)
class AddedConditions:
    """SDXL's micro-conditioning: a pooled text vector and sinusoids of a few integers."""

    pooled_dim: int
    time_ids: int
    time_id_dim: int = 256

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check_range(self, _WIDEST, "pooled_dim", "time_id_dim")
        _check_range(self, 64, "time_ids")
        _check_even("time_id_dim", self.time_id_dim)

    @property
    def features(self) -> int:
        """Width of the concatenated conditions, the input of `add_embedding.linear_1`."""
        return self.pooled_dim + self.time_ids * self.time_id_dim


@dataclass(frozen=True)
class UNetConfig:
    """A U-Net. `mid_depth` counts transformer blocks in the mid block; `guidance_dim` is the width
    of the embedded guidance scale of distilled (LCM) models.
    """

    levels: tuple[Level, ...]
    context_dim: int
    mid_depth: int
    in_channels: int = 4
    out_channels: int = 4
    norm_groups: int = 32
    added: AddedConditions | None = None
    guidance_dim: int | None = None

    def __post_init__(self) -> None:
        """Checks the numbers: groups divide all widths, heads those of levels with attention."""
        _check_levels(len(self.levels))
        names = ("context_dim", "in_channels", "out_channels", "norm_groups", "guidance_dim")
        _check_range(self, _WIDEST, *names)
        _check_range(self, 32, "mid_depth", least=0)
        widths = [level.channels for level in self.levels]
        _check_divides("norm_groups", self.norm_groups, "channels", widths)
        _check_even("channels", widths[0])
        for level in self.levels:
            if level.attention_depth or (self.mid_depth and level is self.levels[-1]):
                _check_divides("heads", level.heads, "channels", [level.channels])

    @property
    def sees(self) -> Literal["", "mask", "picture", "depth"]:
        """What the U-Net's input has behind the latents: a mask and the latents of a masked picture
        (inpainting), those of a picture to change (InstructPix2Pix), a map of depth, or nothing.
        """
        more = self.in_channels - self.out_channels
        return {1: "depth", self.out_channels: "picture", self.out_channels + 1: "mask"}.get(
            more, ""
        )

    @property
    def time_dim(self) -> int:
        """Width of the time embedding."""
        return 4 * self.levels[0].channels

    @property
    def deep_channels(self) -> int:
        """Width of the last up block's input."""
        return self.levels[:2][-1].channels

    @property
    def skip_channels(self) -> tuple[int, ...]:
        """Width of every skip connection, in the order in which the way down makes them."""
        widths = [self.levels[0].channels]
        for level in self.levels:
            widths += [level.channels] * (level.resnets + 1)  # the last is the downsampled one
        return tuple(widths[:-1])


@dataclass(frozen=True)
class ControlNetConfig:
    """A ControlNet: the encoder half of a U-Net, and the network that reads the image.

    Attributes:
      unet: the U-Net that it is for; the way up and `out_channels` do not matter.
      condition_channels: channels of the image.
      hint_channels: widths of the network that reads it; all but the first halve height and width.
    """

    unet: UNetConfig
    condition_channels: int = 3
    hint_channels: tuple[int, ...] = (16, 32, 96, 256)

    def __post_init__(self) -> None:
        """Refuses a U-Net that takes the guidance scale as input: a ControlNet does not."""
        _check_levels(len(self.hint_channels))
        _check_range(self, _WIDEST, "condition_channels", "hint_channels")
        if self.unet.guidance_dim is not None:
            raise ValueError(
                f"guidance_dim {self.unet.guidance_dim} is not of a ControlNet's U-Net; replace it "
                "with None"
            )

    @property
    def downscale(self) -> int:
        """Pixels of the image per latent along one side."""
        return 2 ** (len(self.hint_channels) - 1)


@dataclass(frozen=True)
class T2IAdapterConfig:
    """A T2I-Adapter.

    Attributes:
      condition_channels: 1 for grey pictures, 3 for coloured ones.
      channels: of the features of each level.
      resnets: residual blocks of each level.
      downscale: pixels along a side that become one feature of the first level.
      halves: whether a level begins by halving height and width.
      light: whether its blocks are a quarter as wide as the features.
    """

    condition_channels: int
    channels: tuple[int, ...]
    resnets: int
    downscale: int
    halves: tuple[bool, ...]
    light: bool = False

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check_levels(len(self.channels))
        _check_range(self, _WIDEST, "channels")
        _check_range(self, 16, "resnets")
        _check_range(self, 64, "downscale")
        if self.condition_channels not in (1, 3):
            raise ValueError(f"condition_channels = {self.condition_channels!r} is not 1 or 3")
        if self.light:
            _check_divides("a quarter", 4, "channels", self.channels)

    @property
    def features(self) -> list[tuple[int, int]]:
        """Channels of each level, and its pixels per feature along a side."""
        scales = [self.downscale * 2 ** sum(self.halves[: i + 1]) for i in range(len(self.halves))]
        return list(zip(self.channels, scales, strict=True))


@dataclass(frozen=True)
class VAEConfig:
    """An autoencoder. Latents are multiplied by `scaling_factor` after encoding.

    `force_upcast` is for those whose activations are too large for float16, such as XL's: where
    float16 is asked for, they compute in float32.
    """

    channels: tuple[int, ...]
    resnets: int = 2
    latent_channels: int = 4
    norm_groups: int = 32
    scaling_factor: float = 0.18215
    image_channels: int = 3
    force_upcast: bool = False

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check_levels(len(self.channels))
        _check_range(self, _WIDEST, "channels", "latent_channels", "norm_groups", "image_channels")
        _check_range(self, 16, "resnets")
        _check_divides("norm_groups", self.norm_groups, "channels", self.channels)
        if not 0 < self.scaling_factor < math.inf:
            raise ValueError(f"scaling_factor = {self.scaling_factor!r} is not above 0 and finite")

    @property
    def downscale(self) -> int:
        """Pixels per latent along one side."""
        return 2 ** (len(self.channels) - 1)


@dataclass(frozen=True)
class TinyVAEConfig:
    """A tiny autoencoder (TAESD), for latents as the U-Net has them.

    Attributes:
      channels: width of every layer.
      encoder_blocks: residual blocks at each size, the largest first.
      decoder_blocks: likewise, the smallest first.
    """

    channels: int = 64
    encoder_blocks: tuple[int, ...] = (1, 3, 3, 3)
    decoder_blocks: tuple[int, ...] = (3, 3, 3, 1)
    latent_channels: int = 4
    image_channels: int = 3
    scaling_factor: float = 1.0

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check_levels(len(self.encoder_blocks))
        _check_range(self, _WIDEST, "channels", "latent_channels", "image_channels")
        _check_range(self, 64, "encoder_blocks", "decoder_blocks", least=0)
        if len(self.decoder_blocks) != len(self.encoder_blocks):
            raise ValueError(
                f"decoder_blocks = {list(self.decoder_blocks)} has not as many levels as "
                f"encoder_blocks = {list(self.encoder_blocks)}"
            )

    @property
    def downscale(self) -> int:
        """Pixels per latent along one side."""
        return 2 ** (len(self.encoder_blocks) - 1)


@dataclass(frozen=True)
class TextConfig:
    """A CLIP text encoder.

    Attributes:
      hidden_layer: which layer is the context: -1 the last one after the final norm, -2 the one
        before the last, without a norm.
      projection_dim: width of the pooled projection, `None` where the model has none.
      pad_token: id that fills a prompt up to `max_length`.
      added_tokens: how many of the last ids textual inversion added. The highest of the other ids
        ends a prompt.
    """

    width: int
    layers: int
    heads: int
    mlp_width: int
    activation: Literal["quick_gelu", "gelu"]
    vocab_size: int = 49408
    max_length: int = 77
    hidden_layer: Literal[-1, -2] = -1
    projection_dim: int | None = None
    pad_token: int = 49407
    added_tokens: int = 0

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check_range(self, _WIDEST, "width", "heads", "mlp_width", "max_length", "projection_dim")
        _check_range(self, _DEEPEST, "layers")
        _check_range(self, _MOST_WORDS, "vocab_size")
        _check_range(self, self.vocab_size - 1, "added_tokens", least=0)
        _check_divides("heads", self.heads, "width", [self.width])


@dataclass(frozen=True)
class VisionConfig:
    """The vision tower of a CLIP: a transformer over square patches of a square picture.

    Attributes:
      projection_dim: width of the output, the same as that of its text encoder.
    """

    width: int
    layers: int
    heads: int
    mlp_width: int
    activation: Literal["quick_gelu", "gelu"]
    image_size: int
    patch_size: int
    projection_dim: int

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check_range(self, _WIDEST, "width", "heads", "mlp_width", "image_size", "projection_dim")
        _check_range(self, _DEEPEST, "layers")
        _check_range(self, self.image_size, "patch_size")
        _check_divides("heads", self.heads, "width", [self.width])

    @property
    def patches(self) -> int:
        """Patches of a picture; pixels beyond the last whole patch are ignored."""
        return (self.image_size // self.patch_size) ** 2


@dataclass(frozen=True)
class ProjectionConfig:
    """How an IP-Adapter makes tokens of a picture's embedding: one dense layer.

    Attributes:
      inputs: width of the embedding.
      tokens: tokens of a picture.
      width: width of a token, the `context_dim` of the U-Net.
    """

    inputs: int
    tokens: int
    width: int

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check_range(self, _WIDEST, "inputs", "tokens", "width")


@dataclass(frozen=True)
class PerceptronConfig:
    """The same of each patch by itself, with two dense layers (IP-Adapter Full Face)."""

    inputs: int
    width: int

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check_range(self, _WIDEST, "inputs", "width")


@dataclass(frozen=True)
class ResamplerConfig:
    """The same of all patches, with a transformer whose queries are learnt (IP-Adapter Plus).

    Attributes:
      inputs: width of a patch.
      tokens: tokens of a picture.
      width: width of a token.
      hidden: width of the transformer.
      layers: layers of the transformer.
      heads: attention heads, 64 wide each.
      mlp_width: width inside of the MLPs.
    """

    inputs: int
    tokens: int
    width: int
    hidden: int
    layers: int
    heads: int
    mlp_width: int

    def __post_init__(self) -> None:
        """Checks the numbers."""
        names = ("inputs", "tokens", "width", "hidden", "heads", "mlp_width")
        _check_range(self, _WIDEST, *names)
        _check_range(self, _DEEPEST, "layers")


@dataclass(frozen=True)
class IPAdapterConfig:
    """An IP-Adapter with its image encoder: pictures become keys and values for a U-Net."""

    vision: VisionConfig
    projection: ProjectionConfig | PerceptronConfig | ResamplerConfig


@dataclass(frozen=True)
class ScheduleConfig:
    """The noise a model was trained with, and the sampling grid that its files ask for.

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

    def __post_init__(self) -> None:
        """Checks the size."""
        _check_range(self, _WIDEST, "default_size")
