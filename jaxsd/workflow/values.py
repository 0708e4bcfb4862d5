"""What flows between nodes: models, texts, latents, pictures. Each type has ComfyUI's name."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NamedTuple

import numpy as np

from jaxsd.config import HypernetConfig, ModelSpec, VisionConfig
from jaxsd.executables import Executables
from jaxsd.models.style import StyleAdapter
from jaxsd.sampling.features.sides import Formula
from jaxsd.settings import Settings
from jaxsd.text import Tokenizer
from jaxsd.types import Array, Params
from jaxsd.workflow.continuous import Continuous
from jaxsd.workflow.schema import Kind


@dataclass(frozen=True, eq=False)
class Model:
    """A U-Net with what nodes changed of it.

    Attributes:
      spec: of the whole model that it came from.
      params: of the U-Net.
      settings: the options of features, such as FreeU.
      distilled: whether its levels and outputs are those of an LCM.
      differential: whether a mask says how much changes.
      hypernets: hypernetworks with their weights and strengths, in turn.
      normalizer: mean and deviation of the embeddings that an unCLIP is told; None for others.
      guiding: in place of classifier-free guidance; None for that.
      continuous: how a model of continuous noise is told its level; None for a table of timesteps.
      tiles: of self-attention; None for none.
      merged_tokens: share of tokens that self-attention merges.
      shrink: where the U-Net's maps become smaller; None for nowhere.
    """

    spec: ModelSpec
    params: Params
    run: Executables
    dtype: str
    settings: Settings = field(default_factory=Settings)
    distilled: bool = False
    differential: bool = False
    hypernets: tuple[tuple[HypernetConfig, Params, float], ...] = ()
    normalizer: Params | None = None
    guiding: "Guiding | None" = None
    continuous: Continuous | None = None
    tiles: "Tiles | None" = None
    merged_tokens: float = 0.0
    shrink: "Shrink | None" = None

    def changed(self, **options: Any) -> "Model":
        """The model with other options of features."""
        return replace(self, settings=replace(self.settings, **options))


@dataclass(frozen=True, eq=False)
class Guiding:
    """A node that changes guidance.

    Attributes:
      node: its class.
      formula: of the sides, whose first number is the guidance scale.
      numbers: the others.
      empty: an empty text, for a formula that has a third side.
    """

    node: str
    formula: type[Formula]
    numbers: tuple[float, ...] = ()
    empty: "Conditions" = ()


@dataclass(frozen=True)
class Tiles:
    """Tiles that self-attention sees; see `forms.HyperTile`."""

    side: int
    depth: int
    grows: bool


@dataclass(frozen=True)
class Shrink:
    """Maps that are smaller from a block on, in a part of the way; see `forms.DeepShrink`."""

    block: int
    factor: float
    after_skip: bool
    down: str
    up: str
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Clip:
    """Text encoders; `layer` is counted from the last, which is -1, None for the model's own."""

    spec: ModelSpec
    params: Params
    tokenizers: tuple[Tokenizer, ...]
    run: Executables
    dtype: str
    layer: int | None = None


@dataclass(frozen=True, eq=False)
class Vae:
    """An autoencoder."""

    spec: ModelSpec
    params: Params
    run: Executables
    dtype: str


@dataclass(frozen=True, eq=False)
class ClipVision:
    """The vision tower of a CLIP."""

    config: VisionConfig
    params: Params
    run: Executables
    dtype: str


@dataclass(frozen=True, eq=False)
class PhotoMaker:
    """A CLIP's vision tower, with layers that fuse what it sees with the token of a word."""

    config: VisionConfig
    params: Params
    run: Executables
    dtype: str


@dataclass(frozen=True, eq=False)
class StyleModel:
    """A T2I style adapter, which makes tokens of what a CLIP sees."""

    network: StyleAdapter
    params: Params


class Looked(NamedTuple):
    """What a CLIP sees in pictures."""

    embeds: np.ndarray  # [B, d] float32
    patches: np.ndarray  # [B, 1 + patches, width] float32, after the last layer


@dataclass(frozen=True, eq=False)
class Seen:
    """What a CLIP sees in pictures.

    Attributes:
      embeds: [B, d] float32; what they tell is added up.
      strength: factor.
      noise: share of all levels of noise that is added, 0 to 1.
    """

    embeds: np.ndarray
    strength: float
    noise: float


@dataclass(frozen=True, eq=False)
class ControlNet:
    """A ControlNet or T2I-Adapter: a source that is read for the U-Net that it is used with.

    Attributes:
      kind: number of the kind of picture that a ControlNet-Union sees; None for all others.
      read: what was read for the last U-Net.
    """

    source: str
    kind: int | None = None
    read: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Hint:
    """A ControlNet that looks at a picture, in a part of the way."""

    net: ControlNet
    image: np.ndarray  # [B, H, W, 3] in [0, 1]
    strength: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, eq=False)
class Gligen:
    """GLIGEN's layers by their name; `read` remembers those that were read last."""

    source: str
    read: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Box:
    """What is where, in latents of eight pixels; `text` [d] float32 is pooled, not projected."""

    text: Array
    height: int
    width: int
    y: int
    x: int


@dataclass(frozen=True, eq=False)
class Grounding:
    """Boxes, one at least, and the layers that see them."""

    net: Gligen
    boxes: tuple[Box, ...]


@dataclass(frozen=True, eq=False)
class Condition:
    """A text as the U-Net sees it, and where and when it counts.

    Attributes:
      context: [1, L, d] float32.
      pooled: [1, p] float32, or None.
      hints: of ControlNets.
      to_both: whether the hints are the other side's too.
      area: height, width, y, x in latents of eight pixels; or the same as shares, as floats.
      strength: weight among the conditions of its side.
      mask: [B, H, W], or None for everywhere.
      mask_strength: factor of the mask.
      bounds: whether the U-Net sees only the box around the mask.
      start: part of the way, from noise (0) to picture (1), at which it begins to count.
      end: and at which it ends.
      sizes: numbers beside XL's text, by ComfyUI's names.
      concat: latents and mask that the U-Net sees behind its input, by name.
      seen: pictures that an unCLIP is told of, or XL in place of the pooled text.
      grounding: boxes of GLIGEN, or None.
      small: a picture that an x4 upscaler enlarges, [B, H, W, 3] in [-1, 1], and how much noise is
        added to it, 0 to 1; None for none.
    """

    context: Array
    pooled: Array | None
    hints: tuple[Hint, ...] = ()
    to_both: bool = False
    area: tuple[float, ...] | None = None
    strength: float = 1.0
    mask: np.ndarray | None = None
    mask_strength: float = 1.0
    bounds: bool = False
    start: float = 0.0
    end: float = 1.0
    sizes: Mapping[str, float] = field(default_factory=dict)
    concat: Mapping[str, np.ndarray] = field(default_factory=dict)
    seen: tuple[Seen, ...] = ()
    grounding: Grounding | None = None
    small: tuple[np.ndarray, float] | None = None

    @property
    def is_cropped(self) -> bool:
        """Whether the U-Net sees a part of the picture alone."""
        return self.area is not None or self.bounds


Conditions = tuple[Condition, ...]


@dataclass(frozen=True, eq=False)
class Latent:
    """Latents as the autoencoder has them, not scaled.

    Attributes:
      samples: [B, h, w, c] float32.
      mask: [B, H, W] of any size, 1 where to draw; None for everywhere.
      numbers: place of each image in the batch whose noise is drawn; None for 0, 1, 2, ....
    """

    samples: np.ndarray
    mask: np.ndarray | None = None
    numbers: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Sampler:
    """A sampler by its name here, with its options."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Noise:
    """The seed of the first noise; None for none."""

    seed: int | None


@dataclass(frozen=True, eq=False)
class Guider:
    """A model with its texts and scale.

    Attributes:
      middle: a third side.
      weights: of the negative, the middle and the positive side, if they are a weighted sum.
    """

    model: Model
    positive: Conditions
    negative: Conditions
    cfg: float
    middle: Conditions = ()
    weights: tuple[float, float, float] | None = None


MODEL = Annotated[Model, Kind("MODEL")]
CLIP = Annotated[Clip, Kind("CLIP")]
VAE = Annotated[Vae, Kind("VAE")]
CONDITIONING = Annotated[Conditions, Kind("CONDITIONING")]
LATENT = Annotated[Latent, Kind("LATENT")]
IMAGE = Annotated[np.ndarray, Kind("IMAGE")]
"""[B, H, W, 3] float32 in [0, 1]."""
MASK = Annotated[np.ndarray, Kind("MASK")]
"""[B, H, W] float32 in [0, 1], 1 where to draw."""
CONTROL_NET = Annotated[ControlNet, Kind("CONTROL_NET")]
GLIGEN = Annotated[Gligen, Kind("GLIGEN")]
CLIP_VISION = Annotated[ClipVision, Kind("CLIP_VISION")]
PHOTOMAKER = Annotated[PhotoMaker, Kind("PHOTOMAKER")]
CLIP_VISION_OUTPUT = Annotated[Looked, Kind("CLIP_VISION_OUTPUT")]
STYLE_MODEL = Annotated[StyleModel, Kind("STYLE_MODEL")]
UPSCALE_MODEL = Annotated[Any, Kind("UPSCALE_MODEL")]
SAMPLER = Annotated[Sampler, Kind("SAMPLER")]
SIGMAS = Annotated[np.ndarray, Kind("SIGMAS")]
"""[n + 1] float64, noise over signal, falling."""
NOISE = Annotated[Noise, Kind("NOISE")]
GUIDER = Annotated[Guider, Kind("GUIDER")]
