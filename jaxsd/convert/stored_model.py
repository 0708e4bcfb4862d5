"""A model stored in files: what it is, its tensors, its tokenizers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jaxsd.config import EDMConfig, Layout, ModelSpec, TextConfig, UNetConfig
from jaxsd.convert.files.tensors import FlatTree, cast, flatten, load, nested, on_host, unwidened
from jaxsd.families import FAMILIES
from jaxsd.text import Tokenizer, clip_tokenizer
from jaxsd.types import Array, Params, Prediction


@dataclass(frozen=True)
class StoredModel:
    """An opened checkpoint: everything except the tensors' numbers, which are read on demand.

    Attributes:
      tensors: part, as in `parameters` -> path -> tensor in our layout.
      stored_tokenizers: one per text encoder, or `None` where the files have none.
      scheduler: class name of the sampler that the files ask for; empty in single files.
      files: what the files are, in words ("diffusers folder").
      facts: what a single file states beside its tensors ("global_step").
    """

    spec: ModelSpec
    tensors: Mapping[str, FlatTree]
    stored_tokenizers: tuple[Tokenizer, ...] | None = None
    scheduler: str = ""
    files: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def tokenizers(self) -> tuple[Tokenizer, ...]:
        """One tokenizer per text encoder: the files' own, or CLIP's where they have none.

        Raises:
          ValueError: if they have none and the vocabulary is not CLIP's.
        """
        if self.stored_tokenizers is not None:
            return self.stored_tokenizers
        tokenizers = tuple(clip_tokenizer(text) for text in self.spec.text)
        for text, tokenizer in zip(self.spec.text, tokenizers, strict=True):
            if len(tokenizer.vocabulary.ids) != text.vocab_size:
                raise ValueError(
                    f"no tokenizer: the text encoder has {text.vocab_size} tokens, which is not "
                    f"CLIP's vocabulary of {len(tokenizer.vocabulary.ids)}; single files have no "
                    "tokenizer, take a diffusers folder"
                )
        return tokenizers

    def converted(self, dtype: np.dtype | None) -> "StoredModel":
        """The same model with every parameter in another dtype; `None` keeps each as stored."""
        tensors = {
            part: {path: cast(tensor, dtype, f"{part}/{path}") for path, tensor in tree.items()}
            for part, tree in self.tensors.items()
        }
        return replace(self, tensors=tensors)

    def params(
        self,
        dtype: np.dtype | None = None,
        place: Callable[[str, np.ndarray], Array] = on_host,
        *,
        keep_halves: bool = False,
    ) -> Params:
        """All parameters: `{"unet": tree, "vae": tree, "text": [tree, ...]}`.

        `dtype` is as in `converted`. With `keep_halves`, tensors of 16 bits in the files are not
        widened to `dtype`, which loses nothing: networks widen them at use. `place` gets each
        tensor as it is read, with its path (`text/0/final_layer_norm/scale`). It may put the tensor
        on a device, so that host memory never holds more than a few.
        """
        return self._with_text(load(self._named(dtype, keep_halves), place))

    def outline(self, dtype: np.dtype, *, keep_halves: bool) -> dict[str, Any]:
        """As `params`, with lazy tensors, none of which is read."""
        return self._with_text(nested(self._named(dtype, keep_halves).items()))

    def _named(self, dtype: np.dtype | None, keep_halves: bool) -> FlatTree:
        change = unwidened if keep_halves else cast
        return {
            f"{part.replace('_', '/')}/{path}": change(stored, dtype, f"{part}/{path}")
            for part, tree in self.tensors.items()
            for path, stored in tree.items()
        }

    def _with_text(self, trees: dict[str, Any]) -> dict[str, Any]:
        return trees | {"text": [trees["text"][str(k)] for k in range(len(self.spec.text))]}


def parts_of(params: Params) -> dict[str, FlatTree]:
    """Part -> path -> tensor, of a pipeline's parameters in memory."""
    parts = {part: flatten(tree) for part, tree in params.items() if part != "text"}
    return parts | {f"text_{k}": flatten(tree) for k, tree in enumerate(params["text"])}


def family_name(unet: UNetConfig, prediction: Prediction, edm: EDMConfig | None) -> str:
    """A U-Net's family in `jaxsd.families`, NAME-PREDICTION for another prediction, or "custom".

    `edm` is that of its noise, which tells whether its family has such.
    """

    def alike(spec: ModelSpec) -> bool:
        return spec.unet == unet and (spec.schedule.edm is None) == (edm is None)

    names = [name for name, spec in FAMILIES.items() if alike(spec)]
    own = [name for name in names if FAMILIES[name].prediction == prediction]
    return (own or [f"{name}-{prediction}" for name in names] or ["custom"])[0]


def check_together(spec: ModelSpec) -> None:
    """Checks that the parts of a model fit together.

    Raises:
      ValueError: naming the two that do not.
    """
    unet, texts = spec.unet, sum(text.width for text in spec.text)
    pooled = spec.text[-1].projection_dim if spec.text else None
    seen = ("text", texts) if spec.text else ("picture", spec.sight.vision.projection_dim)
    pairs = [
        ("context", unet.context_dim, *seen),
        ("output", unet.out_channels, "autoencoder", spec.vae and spec.vae.latent_channels),
        ("pooled text", unet.added and unet.added.pooled_dim, "text projection", pooled),
    ]
    for taken, wide, given, width in pairs:
        if None not in (wide, width) and wide != width:
            raise ValueError(f"its U-Net's {taken} is {wide} wide, and its {given} {width}")
    if unet.added and pooled is None:
        raise ValueError("its U-Net takes pooled text, and its text encoder has no projection")


def usual_guidance(unet: UNetConfig, family: str) -> float:
    """The guidance scale of a model whose files do not say it, and none does.

    It is the family's, or 8.5 where the scale is an input of the U-Net (LCM), which is diffusers'.
    What suits Turbo, Lightning and the like is in `jaxsd.distilled`.
    """
    if unet.guidance_dim is not None:
        return 8.5
    return FAMILIES[family].guidance_scale if family in FAMILIES else ModelSpec.guidance_scale


def layout_of(unet: UNetConfig, text: Sequence[TextConfig], *, linear: bool) -> Layout:
    """The layout of a model's files, from the differences between the four families."""
    if unet.added is not None:
        naming = "xl" if len(text) > 1 else "refiner"
    else:
        naming = "v1" if not text or text[0].activation == "quick_gelu" else "v2"
    return Layout(linear_projection=linear, single_file=naming)
