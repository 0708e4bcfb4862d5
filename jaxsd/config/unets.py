"""U-Nets, and what is beside them: ControlNets, T2I-Adapters and motion modules."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from jaxsd.config.ranges import WIDEST, check_divides, check_even, check_levels, check_range


@dataclass(frozen=True)
class Level:
    """One resolution of a U-Net.

    Attributes:
      channels: width of every resnet of the level.
      resnets: resnets on the way down; the way up has one more.
      attention_depth: transformer blocks in each attention; 0 where the level has none.
      heads: attention heads; the mid block has those of the last level.
      self_attends: whether the first attention of a block is of pixels to pixels, or to the text as
        the second one (x4 upscaling).
    """

    channels: int
    resnets: int
    attention_depth: int
    heads: int
    self_attends: bool = True

    def __post_init__(self) -> None:
        """Checks the numbers."""
        check_range(self, WIDEST, "channels", "heads")
        check_range(self, 16, "resnets")
        check_range(self, 32, "attention_depth", least=0)


@dataclass(frozen=True)
class AddedConditions:
    """SDXL's micro-conditioning: a pooled text vector and sinusoids of a few integers."""

    pooled_dim: int
    time_ids: int
    time_id_dim: int = 256

    def __post_init__(self) -> None:
        """Checks the numbers."""
        check_range(self, WIDEST, "pooled_dim", "time_id_dim")
        check_range(self, 64, "time_ids")
        check_even("time_id_dim", self.time_id_dim)

    @property
    def features(self) -> int:
        """Width of the concatenated conditions, the input of `add_embedding.linear_1`."""
        return self.pooled_dim + self.time_ids * self.time_id_dim


@dataclass(frozen=True)
class UNetConfig:
    """A U-Net. `mid_depth` counts transformer blocks in the mid block; `guidance_dim` is the width
    of the embedded guidance scale of distilled (LCM) models; `noise_levels` are those that a U-Net
    is told of, which sees a small picture with noise (x4 upscaling); `label_dim` is the width of
    the vector that a U-Net gets beside the time (unCLIP).
    """

    levels: tuple[Level, ...]
    context_dim: int
    mid_depth: int
    in_channels: int = 4
    out_channels: int = 4
    norm_groups: int = 32
    added: AddedConditions | None = None
    guidance_dim: int | None = None
    noise_levels: int | None = None
    label_dim: int | None = None

    def __post_init__(self) -> None:
        """Checks the numbers: groups divide all widths, heads those of levels with attention."""
        check_levels(len(self.levels))
        names = ("context_dim", "in_channels", "out_channels", "norm_groups", "guidance_dim")
        check_range(self, WIDEST, *names, "noise_levels", "label_dim")
        check_range(self, 32, "mid_depth", least=0)
        widths = [level.channels for level in self.levels]
        check_divides("norm_groups", self.norm_groups, "channels", widths)
        check_even("channels", widths[0])
        for level in self.levels:
            if level.attention_depth or (self.mid_depth and level is self.levels[-1]):
                check_divides("heads", level.heads, "channels", [level.channels])

    @property
    def sees(self) -> Literal["", "mask", "picture", "depth", "small"]:
        """What the U-Net's input has behind the latents: a mask and the latents of a masked picture
        (inpainting), those of a picture to change (InstructPix2Pix), a map of depth, a picture as
        small as the latents (x4 upscaling), or nothing.
        """
        more = self.in_channels - self.out_channels
        if self.noise_levels is not None:
            return "small"
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
      kinds: kinds of images that a ControlNet-Union tells apart; 0 for all other ControlNets.
      kind_layers: layers of the network that reads the kind.
    """

    unet: UNetConfig
    condition_channels: int = 3
    hint_channels: tuple[int, ...] = (16, 32, 96, 256)
    kinds: int = 0
    kind_layers: int = 0

    def __post_init__(self) -> None:
        """Refuses a U-Net that takes the guidance scale as input: a ControlNet does not."""
        check_levels(len(self.hint_channels))
        check_range(self, 64, "kinds", "kind_layers", least=0)
        if self.kinds and self.unet.added is None:
            raise ValueError(f"kinds = {self.kinds} needs a U-Net with added conditions, as XL's")
        check_range(self, WIDEST, "condition_channels", "hint_channels")
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
        check_levels(len(self.channels))
        check_range(self, WIDEST, "channels")
        check_range(self, 16, "resnets")
        check_range(self, 64, "downscale")
        if self.condition_channels not in (1, 3):
            raise ValueError(f"condition_channels = {self.condition_channels!r} is not 1 or 3")
        if self.light:
            check_divides("a quarter", 4, "channels", self.channels)

    @property
    def features(self) -> list[tuple[int, int]]:
        """Channels of each level, and its pixels per feature along a side."""
        scales = [self.downscale * 2 ** sum(self.halves[: i + 1]) for i in range(len(self.halves))]
        return list(zip(self.channels, scales, strict=True))


@dataclass(frozen=True)
class MotionConfig:
    """Motion modules (AnimateDiff): transformers over the frames of a clip, beside a U-Net's own.

    Attributes:
      frames: that they were trained with at most: 24 or 32.
      heads: of their attention.
      depth: transformer blocks of each.
      norm_groups: of the norm that they begin with.
    """

    frames: int = 32
    heads: int = 8
    depth: int = 1
    norm_groups: int = 32

    def __post_init__(self) -> None:
        """Checks the numbers."""
        check_range(self, 1024, "frames", "heads", "norm_groups")
        check_range(self, 32, "depth")


FRAMES_TOGETHER = 16
"""Frames of a clip that an autoencoder takes at a time."""


class MotionPlace(NamedTuple):
    """Where a motion module stands in a U-Net."""

    after: str  # path of the U-Net's module whose output it changes
    name: str  # path of its own parameters
    channels: int


def motion_places(unet: UNetConfig) -> Iterator[MotionPlace]:
    """All places: behind every resnet, or the transformer that follows it, and in the middle.

    Some files have none for the middle, which is the last one here.
    """
    for way, levels, more in (("down", unet.levels, 0), ("up", unet.levels[::-1], 1)):
        for i, level in enumerate(levels):
            block, last = f"{way}_blocks_{i}", "attentions" if level.attention_depth else "resnets"
            for j in range(level.resnets + more):
                name = f"{block}/motion_modules_{j}"
                yield MotionPlace(f"{block}/{last}_{j}", name, level.channels)
    name = "mid_block/motion_modules_0"
    yield MotionPlace("mid_block/attentions_0", name, unet.levels[-1].channels)


HYPERNET_ACTIVATIONS = (
    *("linear", "relu", "leakyrelu", "elu", "swish", "tanh", "sigmoid", "softsign", "mish"),
)
"""webui's names."""


@dataclass(frozen=True)
class HypernetConfig:
    """A hypernetwork of webui.

    Attributes:
      activation: behind each layer but the last, of `HYPERNET_ACTIVATIONS`.
      activates_output: whether it is behind the last one too. As in ComfyUI it is if layers have
        norms.
    """

    activation: str
    activates_output: bool

    def __post_init__(self) -> None:
        """Checks the name."""
        if self.activation not in HYPERNET_ACTIVATIONS:
            known = ", ".join(HYPERNET_ACTIVATIONS)
            raise ValueError(f"activation {self.activation[:40]!r} is not one of {known}")
