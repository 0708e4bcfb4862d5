"""Models made of models: weighted sums, differences of two added to a third, LoRAs merged.

Nothing is read before the result is: one tensor at a time. Sums are computed in float32 and have
the dtype of the first model's tensor.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxsd.adapters.lora import Lora, changed_by_all
from jaxsd.convert.files.tensors import FlatTree, LazyTensor
from jaxsd.convert.stored_model import StoredModel

FIRST_KERNEL = "unet/conv_in/kernel"
"""It has more input channels in inpainting models; the first ones are those of the latents."""


class Weights(NamedTuple):
    """How much of another model is taken.

    Attributes:
      plain: for every parameter that no pattern names.
      patterns: regular expressions, found anywhere in `unet/up_blocks_0/...` or `text/0/...`, and
        the weights of parameters of such paths; the last one that is found counts.
    """

    plain: float = 0.5
    patterns: tuple[tuple[str, float], ...] = ()

    def of(self, path: str) -> float:
        """The weight of a parameter."""
        named = [weight for pattern, weight in self.patterns if re.search(pattern, path)]
        return named[-1] if named else self.plain


def weighted_sum(model: StoredModel, other: StoredModel, weights: Weights) -> StoredModel:
    """(1 - w) A + w B, webui's "Weighted sum".

    Raises:
      ValueError: models of different networks, or a pattern that fits nothing.
    """
    return _mixed(model, [other], weights, lambda w, a, b: a + w * (b - a))


def add_difference(
    model: StoredModel, other: StoredModel, base: StoredModel, weights: Weights
) -> StoredModel:
    """A + w (B - C), webui's "Add difference".

    A may be an inpainting model where B and C are none: the kernel of its first layer is changed
    where they have one.

    Raises:
      ValueError: as `weighted_sum`.
    """
    return _mixed(model, [other, base], weights, lambda w, a, b, c: a + w * (b - c))


def with_loras(
    model: StoredModel, loras: Sequence[tuple[Lora, Mapping[str, float]]]
) -> StoredModel:
    """The model with LoRAs merged, each with its strength by part, "unet" and "text"."""

    def merged(path: str, tensor: LazyTensor) -> LazyTensor:
        part = path.partition("/")[0]
        named = [(lora[path], weight[part]) for lora, weight in loras if path in lora]
        own = [(factors, np.float32(weight)) for factors, weight in named if weight]
        if not own:
            return tensor
        return tensor.transformed(
            tensor.shape, lambda array: np.asarray(changed_by_all(jnp.asarray(array), own))
        )

    return _mapped(model, merged)


def _mixed(
    model: StoredModel,
    others: Sequence[StoredModel],
    weights: Weights,
    formula: Callable[..., np.ndarray],
) -> StoredModel:
    for other in others:
        _check_alike(model, other)
    _check_patterns(model, weights)
    trees = [dict(_named(other)) for other in others]

    def mixed(path: str, tensor: LazyTensor) -> LazyTensor:
        weight = weights.of(path)
        own = [tree[path] for tree in trees if path in tree]
        if weight == 0 or len(own) < len(trees):
            return tensor

        def read() -> np.ndarray:
            first, *rest = (one.read().astype(np.float32) for one in (tensor, *own))
            if path == FIRST_KERNEL:
                shared = min(one.shape[2] for one in (first, *rest))
                whole, first = first, first[:, :, :shared]
                rest = [one[:, :, :shared] for one in rest]
                whole[:, :, :shared] = formula(weight, first, *rest)
                return whole.astype(tensor.dtype)
            return formula(weight, first, *rest).astype(tensor.dtype)

        return LazyTensor(tensor.shape, tensor.dtype, read)

    return _mapped(model, mixed)


def _mapped(model: StoredModel, function: Callable[[str, LazyTensor], LazyTensor]) -> StoredModel:
    tensors: dict[str, FlatTree] = {
        part: {path: function(f"{_place(part)}/{path}", one) for path, one in tree.items()}
        for part, tree in model.tensors.items()
    }
    return replace(model, tensors=tensors)


def _place(part: str) -> str:
    """`text_0` -> `text/0`, as in paths of a pipeline's tree."""
    return part.replace("_", "/")


def _named(model: StoredModel) -> list[tuple[str, LazyTensor]]:
    return [
        (f"{_place(part)}/{path}", tensor)
        for part, tree in model.tensors.items()
        for path, tensor in tree.items()
    ]


def _paths(model: StoredModel) -> set[str]:
    return {path for path, _ in _named(model)}


def _check_alike(model: StoredModel, other: StoredModel) -> None:
    """Checks that two models have the same networks, but for input channels of the U-Net."""
    shapes = {path: tensor.shape for path, tensor in _named(other)}
    differ = [
        path
        for path, tensor in _named(model)
        if path in shapes and path != FIRST_KERNEL and tensor.shape != shapes[path]
    ]
    missing = {path for path in _paths(model) ^ shapes.keys() if not path.startswith("vae/")}
    if differ or missing:
        raise ValueError(
            f"models of {model.spec.family} and {other.spec.family} can not be merged: "
            f"{min([*differ, *missing])} is not the same in both; take two of one family"
        )


def _check_patterns(model: StoredModel, weights: Weights) -> None:
    paths = sorted(_paths(model))
    for pattern, _ in weights.patterns:
        try:
            found = any(re.search(pattern, path) for path in paths)
        except re.error as error:
            raise ValueError(f"part {pattern!r} is no regular expression: {error}") from None
        if not found:
            raise ValueError(
                f"part {pattern!r} is found in none of the {len(paths)} parameters of the model; "
                f"one of them is {paths[0]}"
            )
