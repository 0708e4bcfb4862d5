"""Which pictures are fit: Stable Diffusion's safety checker, and the classifier of nsfwjs.

Of the first (Rando et al. 2022) CLIP's embedding of a picture is compared with embeddings of 17
concepts, which were published without their words. A cosine above the concept's own threshold is
too much. The second is a MobileNetV2 with five classes.
"""

from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxsd.convert.clip import clip_pixels
from jaxsd.convert.files.tensors import load
from jaxsd.convert.layers_model import NAME, read_layers_model
from jaxsd.convert.safety_checker import CONCEPTS, SPECIAL, open_safety_checker
from jaxsd.images.resize import corner_to_corner
from jaxsd.models import VisionEncoder
from jaxsd.models.layers_model import run_layers
from jaxsd.terminal import printable
from jaxsd.types import Array, Params

CARE = np.float32(0.01)
"""How much stricter the others are where a picture is near one of the special concepts."""
DIGITS = 3
"""That scores are rounded to, before they are compared with 0."""


class Verdict(NamedTuple):
    """What the checker says of a picture; scores are cosines less their thresholds."""

    special: np.ndarray  # float32 [3]
    concepts: np.ndarray  # float32 [17]

    @property
    def reason(self) -> str:
        """Which concepts a picture is too near to; empty where it is fit."""
        found = np.flatnonzero(self.concepts > 0)
        shown = ", ".join(f"concept {i} {self.concepts[i]:.3f}" for i in found)
        return shown and f"{shown} over its limit"


CLASSES = ("Drawing", "Hentai", "Neutral", "Porn", "Sexy")
"""What nsfwjs tells apart."""
UNFIT = ("Hentai", "Porn", "Sexy")


class Likelihoods(NamedTuple):
    """What nsfwjs says of a picture."""

    classes: np.ndarray  # float32 [5], of `CLASSES`; they add up to 1

    @property
    def reason(self) -> str:
        """The likeliest class, where it is one of `UNFIT`; else empty."""
        best = int(self.classes.argmax())
        return f"{CLASSES[best]} {self.classes[best]:.3f}" if CLASSES[best] in UNFIT else ""


def open_checker(folder: str | Path) -> "SafetyChecker | Classifier":
    """The checker in a folder: diffusers' safety_checker, or a model of nsfwjs.

    Raises:
      ValueError: it has none.
      FileNotFoundError: there is no such folder.
    """
    return (Classifier if (Path(folder) / NAME).is_file() else SafetyChecker)(folder)


class Classifier:
    """The classifier of nsfwjs: a folder with model.json and files of weights."""

    def __init__(self, folder: str | Path) -> None:
        """Reads the folder.

        Raises:
          ValueError: it holds another model.
          OSError: a file is missing.
        """
        model = read_layers_model(Path(folder))
        weights: dict[str, dict[str, np.ndarray]] = {}
        for name, array in model.weights.items():
            weights.setdefault(name.rpartition("/")[0], {})[name.rpartition("/")[2]] = array
        self._side, run = model.side, jax.jit(partial(run_layers, model.layers))
        seen = jax.ShapeDtypeStruct((1, self._side, self._side, 3), np.float32)
        try:
            shape = jax.eval_shape(run, weights, seen).shape
        except (KeyError, TypeError, ValueError) as error:
            why = printable(str(error).splitlines()[0])
            raise ValueError(f"the layers in {folder} do not go together ({why})") from None
        if shape != (1, len(CLASSES)):
            raise ValueError(f"{folder} tells apart {shape[-1]} classes, and nsfwjs {len(CLASSES)}")
        self._run = partial(run, weights)

    def __call__(self, picture: np.ndarray) -> Likelihoods:
        """What it says of a picture, uint8 [H, W, 3], which is squeezed into a square."""
        pixels = corner_to_corner(picture, self._side, self._side) / np.float32(255)
        return Likelihoods(np.asarray(self._run(pixels[None]))[0])


class SafetyChecker:
    """The checker of a folder. Its weights are read when the first picture is seen."""

    def __init__(self, folder: str | Path) -> None:
        """Opens the folder.

        Raises:
          ValueError: it has no safety checker.
          FileNotFoundError: there is no such folder.
        """
        self._stored = open_safety_checker(Path(folder))

    def __call__(self, picture: np.ndarray) -> Verdict:
        """What it says of a picture, uint8 [H, W, 3]."""
        pixels = clip_pixels(picture, self._stored.config.image_size)
        seen = np.asarray(_embedding(VisionEncoder(self._stored.config), self._vision, pixels))
        return verdict(seen, self._concepts)

    @cached_property
    def _vision(self) -> Params:
        return load(self._stored.vision)

    @cached_property
    def _concepts(self) -> dict[str, np.ndarray]:
        return {name: tensor.read() for name, tensor in self._stored.concepts.items()}


@partial(jax.jit, static_argnums=0)
def _embedding(see: VisionEncoder, params: Params, pixels: Array) -> Array:
    with jax.default_matmul_precision("highest"):
        return see.apply({"params": params}, pixels[None]).embedding[0]


def verdict(seen: np.ndarray, concepts: dict[str, np.ndarray]) -> Verdict:
    """The verdict on an embedding [c], as the original's loop comes to it.

    Each special concept that is found makes all that come after it stricter, once.
    """
    special, care = [], np.float32(0)
    for cosine, threshold in zip(*_cosines(seen, concepts, SPECIAL), strict=True):
        special.append(np.round(cosine - threshold + care, DIGITS))
        care = CARE if special[-1] > 0 else care
    cosines, thresholds = _cosines(seen, concepts, CONCEPTS)
    return Verdict(np.array(special), np.round(cosines - thresholds + care, DIGITS))


def _cosines(
    seen: np.ndarray, concepts: dict[str, np.ndarray], names: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    rows, thresholds = (concepts[name] for name in names)
    return rows @ seen / (np.linalg.norm(rows, axis=1) * np.linalg.norm(seen)), thresholds
