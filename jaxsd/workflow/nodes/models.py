"""Nodes that change models: what they predict, features around them, sums of two."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.nn.int8 import Int8, to_int8, widened
from jaxsd.types import Params
from jaxsd.workflow.schema import Percent, Range, node
from jaxsd.workflow.values import CLIP, MODEL, Clip, Model

Factor = Annotated[float, Range(0, 10)]
PREDICTIONS = {"eps": "epsilon", "v_prediction": "v", "x0": "sample", "lcm": "epsilon"}
"""ComfyUI's names of what a U-Net predicts -> ours."""


@node("ModelSamplingDiscrete", "MODEL")
def model_sampling_discrete(
    *, model: MODEL, sampling: Literal["eps", "v_prediction", "lcm", "x0"], zsnr: bool = False
) -> Model:
    """What the U-Net predicts, and whether its last level is noise alone."""
    schedule = replace(model.spec.schedule, zero_terminal_snr=zsnr)
    spec = replace(model.spec, prediction=PREDICTIONS[sampling], schedule=schedule)
    return replace(model, spec=spec, distilled=sampling == "lcm")


@node("FreeU", "MODEL")
def free_u(
    *, model: MODEL, b1: Factor = 1.1, b2: Factor = 1.2, s1: Factor = 0.9, s2: Factor = 0.2
) -> Model:
    """FreeU as in its paper."""
    return model.changed(freeu=(b1, b2, s1, s2), freeu_version=1)


@node("FreeU_V2", "MODEL")
def free_u_v2(
    *, model: MODEL, b1: Factor = 1.3, b2: Factor = 1.4, s1: Factor = 0.9, s2: Factor = 0.2
) -> Model:
    """FreeU with factors by the mean of features."""
    return model.changed(freeu=(b1, b2, s1, s2), freeu_version=2)


@node("PerturbedAttentionGuidance", "MODEL")
def perturbed_attention_guidance(
    *, model: MODEL, scale: Annotated[float, Range(0, 100)] = 3.0
) -> Model:
    """Guidance away from a picture whose pixels do not look at each other."""
    return model.changed(pag=scale)


@node("SelfAttentionGuidance", "MODEL")
def self_attention_guidance(
    *,
    model: MODEL,
    scale: Annotated[float, Range(-2, 5)] = 0.5,
    blur_sigma: Annotated[float, Range(0.1, 10)] = 2.0,
) -> Model:
    """Guidance away from a picture that is blurred where its pixels are looked at.

    Raises:
      ValueError: a model that does not predict the noise.
    """
    if model.spec.prediction != "epsilon" or model.distilled:
        raise ValueError("SelfAttentionGuidance is for models that predict the noise; bypass it")
    return model.changed(sag=scale, sag_sigma=blur_sigma)


@node("RescaleCFG", "MODEL")
def rescale_cfg(*, model: MODEL, multiplier: Percent = 0.7) -> Model:
    """Guided pictures get the text's own contrast back, measured by v as in ComfyUI.

    Raises:
      ValueError: a model that predicts something else.
    """
    if model.spec.prediction != "v":
        raise ValueError(
            "RescaleCFG is here for models that predict v; bypass it, or take --guidance-rescale "
            "of jaxsd generate, which measures by the noise"
        )
    return model.changed(guidance_rescale=multiplier)


@node("DifferentialDiffusion", "MODEL")
def differential_diffusion(*, model: MODEL, strength: Percent = 1.0) -> Model:
    """A mask's grey says how much changes.

    Raises:
      ValueError: another strength than 1.
    """
    if strength != 1:
        raise ValueError(f"strength {strength:g} is not here; give 1")
    return replace(model, differential=True)


@node("ModelMergeSimple", "MODEL")
def model_merge_simple(*, model1: MODEL, model2: MODEL, ratio: Percent = 1.0) -> Model:
    """`ratio` times the first model, and the rest of the second one."""
    return _merged(model1, model2, lambda a, b: ratio * a + (1 - ratio) * b)


@node("ModelMergeBlocks", "MODEL")
def model_merge_blocks(
    *, model1: MODEL, model2: MODEL, input: Percent = 1.0, middle: Percent = 1.0, out: Percent = 1.0
) -> Model:
    """The same with a ratio for each part of the U-Net; the time's embedding has the first one."""
    parts = {"down": input, "mid": middle, "up": out, "norm_out": out, "conv_out": out}

    def mixed(name: str) -> Any:
        ratio = next((own for part, own in parts.items() if name.startswith(part)), input)
        formula = lambda a, b: ratio * a + (1 - ratio) * b  # noqa: E731
        return _sum(model1.params[name], model2.params[name], formula)

    if model1.params.keys() != model2.params.keys():
        raise ValueError("the two models are not of one family")
    return replace(model1, params={name: mixed(name) for name in model1.params})


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


def _merged(model: Model, other: Model, formula: Callable[[Any, Any], Any]) -> Model:
    return replace(model, params=_sum(model.params, other.params, formula))


def _sum(params: Params, others: Params, formula: Callable[[Any, Any], Any]) -> Params:
    """A formula of two trees in float32; kernels keep the dtype of the first, or its 8 bits.

    Raises:
      ValueError: trees of other networks.
    """

    def mixed(a: Any, b: Any) -> Any:
        if a.shape != b.shape:
            raise ValueError(f"shapes {a.shape} and {b.shape} differ")
        made = formula(widened(a), widened(b))
        if isinstance(a, Int8):
            return jax.tree.map(jnp.asarray, to_int8(np.asarray(made)))
        return made.astype(a.dtype)

    try:
        return jax.tree.map(mixed, params, others, is_leaf=lambda one: isinstance(one, Int8))
    except ValueError as error:
        raise ValueError(
            f"the two models are not of one family: {str(error).splitlines()[0][:120]}"
        ) from None
