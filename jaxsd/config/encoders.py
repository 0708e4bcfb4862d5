"""Encoders of texts and pictures, and what brings pictures to a U-Net."""

from dataclasses import dataclass
from typing import Literal

from jaxsd.config.ranges import DEEPEST, MOST_WORDS, WIDEST, check_divides, check_range


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
        check_range(self, WIDEST, "width", "heads", "mlp_width", "max_length", "projection_dim")
        check_range(self, DEEPEST, "layers")
        check_range(self, MOST_WORDS, "vocab_size")
        check_range(self, self.vocab_size - 1, "added_tokens", least=0)
        check_divides("heads", self.heads, "width", [self.width])


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
        check_range(self, WIDEST, "width", "heads", "mlp_width", "image_size", "projection_dim")
        check_range(self, DEEPEST, "layers")
        check_range(self, self.image_size, "patch_size")
        check_divides("heads", self.heads, "width", [self.width])

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
        check_range(self, WIDEST, "inputs", "tokens", "width")


@dataclass(frozen=True)
class PerceptronConfig:
    """The same of each patch by itself, with two dense layers (IP-Adapter Full Face)."""

    inputs: int
    width: int

    def __post_init__(self) -> None:
        """Checks the numbers."""
        check_range(self, WIDEST, "inputs", "width")


@dataclass(frozen=True)
class FaceConfig:
    """The same of the embedding of a face, with two dense layers (IP-Adapter FaceID).

    Attributes:
      inputs: width of the embedding.
      hidden: width between the layers.
      tokens: tokens of a face.
      width: width of a token.
    """

    inputs: int
    hidden: int
    tokens: int
    width: int

    def __post_init__(self) -> None:
        """Checks the numbers."""
        check_range(self, WIDEST, "inputs", "hidden", "tokens", "width")


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
        check_range(self, WIDEST, *names)
        check_range(self, DEEPEST, "layers")


@dataclass(frozen=True)
class IPAdapterConfig:
    """An IP-Adapter with its image encoder: pictures become keys and values for a U-Net.

    One for faces has no encoder: it is given what another network sees.
    """

    vision: VisionConfig | None
    projection: ProjectionConfig | PerceptronConfig | FaceConfig | ResamplerConfig
