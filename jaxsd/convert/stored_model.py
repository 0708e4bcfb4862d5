"""A model that lies in files: what it is, its tensors, its tokenizers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jaxsd.config import Layout, ModelSpec, TextConfig, UNetConfig
from jaxsd.convert.tensors import FlatTree, flatten, load
from jaxsd.families import FAMILIES
from jaxsd.text import Tokenizer
from jaxsd.types import Params, Prediction


@dataclass(frozen=True)
class StoredModel:
    """A checkpoint, opened: everything but the numbers, which are read when asked for.

    Attributes:
      tensors: part (`unet`, `vae`, `text_0`, `text_1`) -> path -> tensor in our layout.
      tokenizers: one per text encoder.
      scheduler: class name of the sampler that the files ask for; empty in single files.
      files: what the files are, in words ("diffusers folder", "single file, EMA weights").
    """

    spec: ModelSpec
    tensors: Mapping[str, FlatTree]
    tokenizers: tuple[Tokenizer, ...]
    scheduler: str = ""
    files: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    def params(self, dtype: np.dtype | None) -> Params:
        """All parameters as NumPy arrays: `{"unet": tree, "vae": tree, "text": [tree, ...]}`.

        One tensor at a time; `dtype=None` keeps each as it is stored.
        """
        trees = {part: load(tree, dtype) for part, tree in self.tensors.items()}
        texts = [trees.pop(f"text_{k}") for k in range(len(self.spec.text))]
        return trees | {"text": texts}


def parts_of(params: Params) -> dict[str, FlatTree]:
    """Part -> path -> tensor, of a pipeline's parameters in memory."""
    parts = {part: flatten(tree) for part, tree in params.items() if part != "text"}
    return parts | {f"text_{k}": flatten(tree) for k, tree in enumerate(params["text"])}


def family_name(unet: UNetConfig, prediction: Prediction) -> str:
    """The family of `jaxsd.families` that a U-Net belongs to, or "custom"."""
    for name, spec in FAMILIES.items():
        if spec.unet == unet and spec.prediction == prediction:
            return name
    for name, spec in FAMILIES.items():
        if spec.unet == unet:
            return f"{name}-{prediction}"
    return "custom"


def layout_of(unet: UNetConfig, text: Sequence[TextConfig], *, linear: bool) -> Layout:
    """The layout of a model's files, going by what sets the four families apart."""
    if unet.added is not None:
        naming = "xl" if len(text) > 1 else "refiner"
    else:
        naming = "v1" if text[0].activation == "quick_gelu" else "v2"
    return Layout(linear_projection=linear, single_file=naming)
