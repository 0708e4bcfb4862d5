"""Nodes that add up models."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.convert.original.names import UNET, single_file_slots
from jaxsd.convert.parameters import unet_parameters
from jaxsd.nn.int8 import Int8, to_int8, widened
from jaxsd.types import Params
from jaxsd.workflow.nodes.models import Factor
from jaxsd.workflow.schema import Percent, Range, node
from jaxsd.workflow.values import CLIP, MODEL, Clip, Model

Difference = Annotated[float, Range(-10, 10)]


@node("ModelMergeSimple", "MODEL")
def model_merge_simple(*, model1: MODEL, model2: MODEL, ratio: Percent = 1.0) -> Model:
    """`ratio` times the first model, and the rest of the second one."""
    return _merged(model1, model2, lambda a, b: ratio * a + (1 - ratio) * b)


@node("ModelMergeBlocks", "MODEL")
def model_merge_blocks(
    *, model1: MODEL, model2: MODEL, input: Percent = 1.0, middle: Percent = 1.0, out: Percent = 1.0
) -> Model:
    """The same with a ratio for each part of the U-Net; the time's embedding has the first one."""
    parts = {"down": input, "mid": middle, "up": out, "conv_norm_out": out, "conv_out": out}

    def mixed(name: str) -> Any:
        ratio = next((own for part, own in parts.items() if name.startswith(part)), input)
        formula = lambda a, b: ratio * a + (1 - ratio) * b  # noqa: E731
        return _sum(model1.params[name], model2.params[name], formula)

    if model1.params.keys() != model2.params.keys():
        raise ValueError("the two models are not of one family")
    return replace(model1, params={name: mixed(name) for name in model1.params})


def _ratios(blocks: int, *, dotted: bool) -> dict[str, float]:
    """The inputs of a node with a ratio for each block of a U-Net, in the original code's names."""
    end = "." if dotted else ""
    names = [
        *("time_embed.", "label_emb."),
        *(f"input_blocks.{i}{end}" for i in range(blocks)),
        *(f"middle_block.{i}{end}" for i in range(3)),
        *(f"output_blocks.{i}{end}" for i in range(blocks)),
        "out.",
    ]
    return dict.fromkeys(names, 1.0)


OF_SD, OF_XL = _ratios(12, dotted=True), _ratios(9, dotted=False)


@node("ModelMergeSD1", "MODEL", each=OF_SD)
def model_merge_sd1(*, model1: MODEL, model2: MODEL, **ratios: Percent) -> Model:
    """The same with a ratio for each block of SD 1's U-Net, by its name in the original code."""
    return _merged_by_blocks(model1, model2, OF_SD | ratios)


@node("ModelMergeSD2", "MODEL", each=OF_SD)
def model_merge_sd2(*, model1: MODEL, model2: MODEL, **ratios: Percent) -> Model:
    """The same of SD 2."""
    return _merged_by_blocks(model1, model2, OF_SD | ratios)


@node("ModelMergeSDXL", "MODEL", each=OF_XL)
def model_merge_sdxl(*, model1: MODEL, model2: MODEL, **ratios: Percent) -> Model:
    """The same of XL."""
    return _merged_by_blocks(model1, model2, OF_XL | ratios)


@node("ModelMergeAdd", "MODEL")
def model_merge_add(*, model1: MODEL, model2: MODEL) -> Model:
    """The sum of both."""
    return _merged(model1, model2, lambda a, b: a + b)


@node("ModelMergeSubtract", "MODEL")
def model_merge_subtract(*, model1: MODEL, model2: MODEL, multiplier: Factor = 1.0) -> Model:
    """The difference of both, times a number."""
    return _merged(model1, model2, lambda a, b: multiplier * (a - b))


@node("CLIPMergeSimple", "CLIP")
def clip_merge_simple(*, clip1: CLIP, clip2: CLIP, ratio: Percent = 1.0) -> Clip:
    """`ratio` times the first text encoders, and the rest of the second ones."""
    params = _sum(clip1.params, clip2.params, lambda a, b: ratio * a + (1 - ratio) * b)
    return replace(clip1, params=params)


@node("CLIPMergeSubtract", "CLIP")
def clip_merge_subtract(*, clip1: CLIP, clip2: CLIP, multiplier: Difference = 1.0) -> Clip:
    """The difference of both text encoders, times a number."""
    return replace(
        clip1, params=_sum(clip1.params, clip2.params, lambda a, b: multiplier * (a - b))
    )


def _merged_by_blocks(model: Model, other: Model, ratios: Mapping[str, float]) -> Model:
    """`ratios` of the first model by the longest beginning of a name in the original code.

    What is in no block has the first ratio.
    """
    shapes = unet_parameters(model.spec.unet)
    slots = single_file_slots("unet", model.spec, shapes)
    names = {slot.path: slot.name.removeprefix(UNET) for slot in slots}

    def ratio(path: tuple[Any, ...]) -> float:
        name = names["/".join(part.key for part in path)]
        found = [begin for begin in ratios if name.startswith(begin)]
        return ratios[max(found, key=len)] if found else next(iter(ratios.values()))

    weights = jax.tree_util.tree_map_with_path(
        lambda path, _: ratio(path), model.params, is_leaf=lambda one: isinstance(one, Int8)
    )
    return replace(
        model,
        params=_sum(
            model.params,
            other.params,
            lambda a, b, of_first: of_first * a + (1 - of_first) * b,
            weights,
        ),
    )


def _merged(model: Model, other: Model, formula: Callable[[Any, Any], Any]) -> Model:
    return replace(model, params=_sum(model.params, other.params, formula))


def _sum(params: Params, others: Params, formula: Callable[..., Any], *more: Any) -> Params:
    """A formula of two trees in float32; kernels keep the dtype of the first, or its 8 bits.

    Args:
      params: the first tree.
      others: the second.
      formula: (a, b, *others) -> the sum.
      *more: trees of numbers that the formula takes behind them.

    Raises:
      ValueError: trees of other networks.
    """

    def mixed(a: Any, b: Any, *numbers: float) -> Any:
        if a.shape != b.shape:
            raise ValueError(f"shapes {a.shape} and {b.shape} differ")
        made = formula(widened(a), widened(b), *numbers)
        if isinstance(a, Int8):
            return jax.tree.map(jnp.asarray, to_int8(np.asarray(made)))
        return made.astype(a.dtype)

    try:
        is_leaf = lambda one: isinstance(one, Int8)  # noqa: E731
        return jax.tree.map(mixed, params, others, *more, is_leaf=is_leaf)
    except ValueError as error:
        raise ValueError(
            f"the two models are not of one family: {str(error).splitlines()[0][:120]}"
        ) from None
