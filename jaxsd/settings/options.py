"""The options of a picture: one list, from which flags, columns, keys and recipes are made.

An option is a field of `Settings`: only here are its type, default, range and help.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from jaxsd.settings.adapters import FORM, Embedding, Lora
from jaxsd.typed import nearest, parsed, value_of

PREPROCESSORS = ("as_given", "canny", "scribble")
"""Functions that make a ControlNet's hint from a picture: names of `jaxsd.hints.HINTS`."""

PROMPT_WEIGHTS = ("webui", "comfy", "compel", "none")
"""Whose arithmetic weights in prompts follow (`jaxsd.sampling.texts`)."""
UPSCALERS = ("latent", "lanczos")
"""Latents by a bilinear filter, or pictures by Lanczos'."""

LARGEST_SEED = 2**63 - 1


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    words: tuple[str, ...] = (),
    shared: bool = False,
    metavar: str | tuple[str, ...] | None = None,
    also: tuple[str, ...] = (),
) -> Any:
    """A field of `Settings`.

    Args:
      default: None for what suits the model.
      help: one line, for users.
      low: least value allowed.
      high: largest value allowed.
      words: the allowed values of a text.
      shared: whether all images of a call have the same value.
      metavar: name of the value on the command line.
      also: further flags.
    """
    return field(
        default=default,
        metadata={
            "help": help,
            "low": low,
            "high": high,
            "words": words,
            "shared": shared,
            "metavar": metavar,
            "also": also,
        },
    )


@dataclass(frozen=True)
class Control:
    """A ControlNet that looks at a picture.

    Attributes:
      image: file of the picture; empty where the picture itself is given.
      model: anything that `jaxsd.pipeline.with_controlnet` reads, or the name it was given there.
      weight: weight of what it adds.
      first: part of the way from noise (0) to picture (1) at which it begins.
      last: and at which it ends.
    """

    image: str = ""
    model: str = ""
    weight: float = 1.0
    first: float = 0.0
    last: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "Control":
        """`IMAGE:MODEL[:WEIGHT[:FROM:TO]]`.

        Raises:
          ValueError: a text that is not of this form.
        """
        parts = text.split(":")
        if len(parts) not in (2, 3, 5) or not parts[1]:
            raise ValueError(f"control {text!r} is not IMAGE:MODEL[:WEIGHT[:FROM:TO]]")
        return cls(*parts[:2], *(parsed(float, part, f"control {text!r}:") for part in parts[2:]))

    def __str__(self) -> str:
        return f"{self.image}:{self.model}:{self.weight}:{self.first}:{self.last}"


@dataclass(frozen=True, order=True)
class Region:
    """A text for a box of the picture; sides are shares of the picture's.

    Attributes:
      x: left side, from 0 to 1.
      y: top side.
      width: of the box.
      height: of the box.
      text: what to draw there.
      strength: weight in the box, where the prompt has 1.
    """

    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    height: float = 1.0
    text: str = ""
    strength: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "Region":
        """`X,Y,WIDTH,HEIGHT[,STRENGTH]:TEXT`.

        Raises:
          ValueError: a text that is not of this form.
        """
        box, colon, prompt = text.partition(":")
        parts = box.split(",")
        if not colon or len(parts) not in (4, 5):
            raise ValueError(f"region {text!r} is not X,Y,WIDTH,HEIGHT[,STRENGTH]:TEXT")
        x, y, width, height, *strength = (
            parsed(float, part, f"region {text!r}:") for part in parts
        )
        return cls(x, y, width, height, prompt, *strength)

    def __str__(self) -> str:
        box = (self.x, self.y, self.width, self.height, self.strength)
        return f"{','.join(map(str, box))}:{self.text}"


@dataclass(frozen=True)
class Settings:
    """All options of one image; None is for what suits the model, which `checked` fills in."""

    prompt: str = option("", "what to draw")
    negative_prompt: str = option(
        "", "what to keep away from", metavar="TEXT", also=("--negative",)
    )
    region: tuple[Region, ...] = option(
        (),
        "a text for a box of the picture, X,Y,WIDTH,HEIGHT[,STRENGTH]:TEXT in shares of its sides, "
        "such as 0,0,0.5,1:a red apple; may be given several times",
        shared=True,
        metavar="REGION",
    )
    prompt_weights: str = option(
        "webui",
        "arithmetic of weights as in (word:1.2): webui's, ComfyUI's or compel's; none takes "
        "prompts as plain text and cuts long ones",
        words=PROMPT_WEIGHTS,
        shared=True,
    )
    clip_skip: int | None = option(
        None,
        "the text encoder's layer to use, counted from the last, which is 1",
        low=1,
        metavar="N",
    )
    wildcards: str = option(
        "", "folder of NAME.txt, of which __NAME__ in a prompt is a line", metavar="FOLDER"
    )
    seed: int = option(
        0,
        "of the first image, up to 2^63 - 1; each next one has one more",
        low=0,
        high=LARGEST_SEED,
    )
    noise: str = option(
        "jax",
        "who draws the noise: torch is PyTorch on a CPU, as in diffusers, so that a seed gives the "
        "same picture; cuda is PyTorch on an NVIDIA GPU, webui's NV",
        words=("jax", "torch", "cuda"),
        shared=True,
    )
    batch_place: tuple[int, ...] = option(
        (0, 1),
        "with --noise torch or cuda, this picture's place, from 0, in a batch of so many pictures "
        "that diffusers or ComfyUI draw from one seed",
        low=0,
        high=10_000,
        metavar=("INDEX", "OF"),
    )
    variation_seed: int = option(
        0,
        "of the noise that --variation-strength leads to; then it counts the images, and --seed "
        "stays",
        low=0,
        high=LARGEST_SEED,
    )
    variation_strength: float = option(
        0.0, "share of the way to the noise of --variation-seed", low=0, high=1, metavar="SHARE"
    )
    seed_resize: tuple[int, ...] = option(
        (0, 0),
        "size whose noise of this seed is in the middle, for much the same picture in another size",
        low=0,
        high=2**16,
        metavar=("WIDTH", "HEIGHT"),
    )
    sampler: str = option("ddim", "ddim, euler_a, dpm++_2m_karras, euler_sgm_uniform, ...")
    steps: int = option(20, "of the sampler", low=1, metavar="N")
    sampler_options: tuple[str, ...] = option(
        (), "options of the sampler, such as eta=0.5 or spacing=trailing", metavar="NAME=VALUE"
    )
    guidance_scale: float | None = option(
        None, "how much the prompt counts; up to 1 is no guidance", low=0, high=1000, metavar="W"
    )
    guidance_interval: tuple[float, ...] = option(
        (0.0, 1.0),
        "guide from here to there on the way from noise (0) to picture (1) alone, faster",
        low=0,
        high=1,
        metavar=("FROM", "TO"),
    )
    guidance_rescale: float = option(
        0.0,
        "share by which guided pictures get the prompt's own contrast back, such as 0.7",
        low=0,
        high=1,
        shared=True,
    )
    pag: float = option(
        0.0,
        "scale of perturbed attention guidance, such as 3: away from a picture whose pixels do not "
        "look at each other; takes half as long again",
        low=0,
        high=100,
        shared=True,
        metavar="SCALE",
    )
    seg: float = option(
        0.0,
        "scale of smoothed energy guidance, such as 3: away from a picture whose pixels all ask "
        "for the same",
        low=0,
        high=100,
        shared=True,
        metavar="SCALE",
    )
    sag: float = option(
        0.0,
        "scale of self-attention guidance, such as 0.75: away from a picture that is blurred where "
        "pixels are looked at",
        low=0,
        high=100,
        shared=True,
        metavar="SCALE",
    )
    freeu: tuple[float, ...] = option(
        (1.0, 1.0, 1.0, 1.0),
        "FreeU: factors of the U-Net's deepest features and of the skips beside them, such as 1.3 "
        "1.4 0.9 0.2; 1 changes nothing",
        low=0,
        high=10,
        shared=True,
        metavar=("B1", "B2", "S1", "S2"),
    )
    freeu_version: int = option(
        2,
        "2 is FreeU v2 of webui and ComfyUI; 1 is that of diffusers",
        low=1,
        high=2,
        shared=True,
    )
    dynamic_thresholding: tuple[float, ...] = option(
        (1.0, 0.0),
        "cut each estimate of x0 beyond this percentile, such as 0.995, and scale it into this "
        "range (Imagen's; latents of SD want about 3); a range of 0 does not",
        low=0,
        high=1000,
        shared=True,
        metavar=("PERCENTILE", "RANGE"),
    )
    mimic_scale: tuple[float, ...] = option(
        (0.0, 1.0),
        "give guided pictures the range of this lower guidance scale, cut beyond this percentile: "
        "webui's dynamic thresholding (CFG scale fix); a scale of 0 does not",
        low=0,
        high=1000,
        shared=True,
        metavar=("SCALE", "PERCENTILE"),
    )
    apg: tuple[float, ...] = option(
        (1.0, 0.0, 0.0),
        "adaptive projected guidance: weight of the part along x0, largest length (0 for any), "
        "momentum, such as 0 15 -0.5; 1 0 0 is plain guidance",
        low=-1,
        high=1000,
        shared=True,
        metavar=("ETA", "NORM", "MOMENTUM"),
    )
    cfg_zero: int = option(
        -1,
        "CFG-Zero*: guidance with the optimised scale, and an output of 0 in this many steps at "
        "the beginning; -1 is plain guidance",
        low=-1,
        high=1000,
        shared=True,
        metavar="STEPS",
    )
    cfg_pp: bool = option(
        False,
        "CFG++: each step takes the negative prompt's noise; the guidance scale is then 0 to 1, "
        "0.6 if not given",
        shared=True,
    )
    reuse: int = option(
        1,
        "compute the U-Net's deep features in every N-th step alone, faster",
        low=1,
        high=1000,
        shared=True,
        metavar="N",
    )
    width: int | None = option(None, "in pixels", low=1, high=2**16)
    height: int | None = option(None, "in pixels", low=1, high=2**16)
    hires: float = option(
        1.0,
        "enlarge what was drawn so many times, and draw over it; 1 does not",
        low=1,
        high=8,
        shared=True,
        metavar="SCALE",
    )
    hires_strength: float = option(
        0.7, "how much of the enlarged picture is drawn anew", low=0, high=1, metavar="STRENGTH"
    )
    hires_steps: int = option(
        0, "of the sampler for the enlarged picture; 0 for those of --steps", low=0, metavar="N"
    )
    hires_upscaler: str = option(
        "latent", "what is enlarged: latent or the picture", words=UPSCALERS, shared=True
    )
    image: str = option(
        "",
        "picture to begin from; any size: it is scaled to cover the size that is drawn, and its "
        "middle is cut out",
        metavar="FILE",
    )
    strength: float | None = option(
        None,
        "how much of the way from noise to picture is drawn anew; 1 begins from noise alone; 0.75, "
        "with --mask or --outpaint 1, if not given",
        low=0,
        high=1,
    )
    mask: str = option(
        "",
        "picture of what to paint anew: white is painted, black is kept; any size, as --image",
        metavar="FILE",
    )
    mask_blur: float = option(
        4.0, "radius of the mask's soft edge, in pixels", low=0, high=1000, metavar="PIXELS"
    )
    composite: bool = option(True, "keep the pixels of --image exactly where the mask is black")
    outpaint: tuple[int, ...] = option(
        (0, 0, 0, 0),
        "pixels by which to grow the picture beyond its size, and paint there",
        low=0,
        high=2**16,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
    )
    control: tuple[Control, ...] = option(
        (),
        "a picture and the ControlNet that looks at it, IMAGE:MODEL[:WEIGHT[:FROM:TO]]; may be "
        "given several times",
        metavar="CONTROL",
    )
    preprocessor: str = option(
        "as_given", "makes a hint of each picture of --control", words=PREPROCESSORS
    )
    lora: tuple[Lora, ...] = option(
        (),
        f"LoRA, LoCon, LoHa, LoKr or DoRA to add to the weights, {FORM}; may be given several "
        "times",
        metavar="LORA",
    )
    lora_folder: tuple[str, ...] = option(
        (), "where <lora:NAME:WEIGHT> in a prompt finds NAME.safetensors", metavar="FOLDER"
    )
    embedding: tuple[Embedding, ...] = option(
        (),
        "textual inversion, FILE or NAME=FILE, whose name in a prompt stands for its vectors; may "
        "be given several times",
        shared=True,
        metavar="EMBEDDING",
    )
    embedding_folder: tuple[str, ...] = option(
        (),
        "where files of embeddings are found whose names stand in a prompt",
        shared=True,
        metavar="FOLDER",
    )

    @property
    def paints(self) -> bool:
        """Whether only a part is painted: by a mask or at the sides of a picture."""
        return bool(self.mask) or any(self.outpaint)

    @property
    def drawn_size(self) -> tuple[int, int]:
        """Height and width of what is drawn, in pixels; for checked settings."""
        left, top, right, bottom = self.outpaint
        return self.height + top + bottom, self.width + left + right

    @property
    def final_size(self) -> tuple[int, int]:
        """Height and width of the picture that comes out: `drawn_size`, enlarged by `hires`."""
        height, width = self.drawn_size
        return round(height * self.hires), round(width * self.hires)

    @property
    def counted(self) -> str:
        """The option that has one more for each next image of a call."""
        return "variation_seed" if self.variation_strength else "seed"


OPTIONS = {f.name: f for f in fields(Settings)}
"""Every option by its name."""

SHARED = tuple(name for name, one in OPTIONS.items() if one.metadata["shared"])
"""Options whose values all images of a call share."""

SIZE = "size"
"""Shorthand for width and height together, "WIDTHxHEIGHT"."""


@dataclass(frozen=True)
class Recipe:
    """What an image was made from, so that it can be made again.

    Attributes:
      settings: checked ones.
      model: what was given to `jaxsd.load`.
      model_hash: first ten hex digits of the model file's sha256, as webui shows them; empty where
        the model is not one file.
      dtype: what the networks computed in.
      taesd: as for `jaxsd.load`; empty for the model's own autoencoder.
      version: of jaxsd.
      pictures: sha256 of each picture file that was used, by its name in the settings.
      batch_size: images of the call that drew it, which decides how float32 sums are ordered; 0
        where that is not known.
      reading: options of `jaxsd.load` that say how the model was read, where they were given.
      adapters: sha256 of each file of a LoRA or an embedding.
    """

    settings: Settings
    model: str
    dtype: str
    version: str
    model_hash: str = ""
    taesd: str = ""
    pictures: dict[str, str] = field(default_factory=dict)
    batch_size: int = 0
    reading: dict[str, Any] = field(default_factory=dict)
    adapters: dict[str, str] = field(default_factory=dict)


def settings_from(values: Mapping[str, Any], defaults: Settings = Settings()) -> Settings:
    """Settings from a table of values, or of texts as in CSV and on the command line.

    Raises:
      ValueError: an unknown name, or a value of the wrong type.
    """
    values = with_sides(values)
    for name in values:
        if name not in OPTIONS:
            raise ValueError(f"unknown option {name!r}; {nearest(name, [*OPTIONS, SIZE])}")
    return replace(defaults, **{name: option_value(name, value) for name, value in values.items()})


def option_value(name: str, value: Any) -> Any:
    """The value of an option, from Python, TOML, JSON or a text.

    Raises:
      ValueError: of the wrong type.
    """
    kind = OPTIONS[name].type
    if isinstance(value, str) and kind not in (str, str | None):
        return parsed(kind, value, name)
    return value_of(kind, value, name)


def with_sides(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with `width` and `height` in place of `size`.

    Raises:
      ValueError: not "WIDTHxHEIGHT", or a side beside it that is another.
    """
    rest = dict(values)
    if (size := rest.pop(SIZE, None)) is None:
        return rest
    found = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", str(size))
    if not found:
        raise ValueError(f"size {size!r} is not WIDTHxHEIGHT in pixels, such as 512x768")
    for name, side in zip(("width", "height"), map(int, found.groups()), strict=True):
        given = rest.get(name)
        if given is not None and option_value(name, given) != side:
            raise ValueError(f"size {size} and {name} {given} differ; give one of them")
        rest[name] = side
    return rest
