"""The numbers of networks that enlarge pictures.

`reach` is how many pixels on each side of a pixel can change what is made of it.
"""

from dataclasses import dataclass

LARGEST_SCALE = 16


@dataclass(frozen=True)
class RRDBConfig:
    """ESRGAN (Wang et al. 2018) and Real-ESRGAN (Wang et al. 2021).

    Attributes:
      channels: of the trunk.
      growth: channels that each convolution of a dense block adds.
      blocks: residual blocks of three dense blocks each.
      doublings: of the sides at the end, one convolution after each.
      folded: side of the squares of pixels that are made channels first, 2 or 4 where the network
        enlarges less than its end does.
    """

    channels: int
    growth: int
    blocks: int
    doublings: int
    folded: int = 1

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check_scale(2**self.doublings / self.folded)

    @property
    def scale(self) -> int:
        """Pixels along a side that are made of one."""
        return 2**self.doublings // self.folded

    @property
    def reach(self) -> int:
        """See the module; doubled pixels count less, and the convolutions at the end add to 2."""
        return self.folded * (15 * self.blocks + 4)


@dataclass(frozen=True)
class CompactConfig:
    """Real-ESRGAN's compact networks, such as realesr-general and realesr-animevideo.

    Attributes:
      channels: of all but the last convolution.
      convolutions: between the first and the last one.
      scale: pixels along a side that are made of one.
    """

    channels: int
    convolutions: int
    scale: int

    folded = 1

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check_scale(self.scale)

    @property
    def reach(self) -> int:
        """See the module."""
        return self.convolutions + 2


@dataclass(frozen=True)
class RDNConfig:
    """Residual dense networks (Zhang et al. 2018), as image-super-resolution and UpscalerJS have.

    Attributes:
      channels: of the trunk.
      growth: channels that each convolution of a dense block adds.
      blocks: dense blocks.
      layers: convolutions of a dense block.
      scale: pixels along a side that are made of one.
    """

    channels: int
    growth: int
    blocks: int
    layers: int
    scale: int

    folded = 1

    def __post_init__(self) -> None:
        """Checks the numbers."""
        _check_scale(self.scale)

    @property
    def reach(self) -> int:
        """See the module."""
        return self.blocks * self.layers + 8


UpscalerConfig = RRDBConfig | CompactConfig | RDNConfig


def _check_scale(scale: float) -> None:
    if scale != int(scale) or not 1 <= scale <= LARGEST_SCALE:
        raise ValueError(f"a scale of {scale:g} is not a whole number from 1 to {LARGEST_SCALE}")
