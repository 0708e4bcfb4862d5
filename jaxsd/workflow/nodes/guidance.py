"""Nodes that change how texts guide."""

from dataclasses import replace
from typing import Annotated

from jaxsd.sampling.features.sides import (
    AdaptiveProjection,
    OptimizedScale,
    PerpendicularNegative,
    TangentialDamping,
    TowardsPositive,
)
from jaxsd.workflow.schema import Range, node
from jaxsd.workflow.values import CONDITIONING, MODEL, Guider, Guiding, Model

Scale = Annotated[float, Range(0, 100)]


@node("APG", "MODEL")
def apg(
    *,
    model: MODEL,
    eta: Annotated[float, Range(-10, 10)] = 1.0,
    norm_threshold: Annotated[float, Range(0, 50)] = 5.0,
    momentum: Annotated[float, Range(-5, 1)] = 0.0,
) -> Model:
    """Adaptive projected guidance."""
    return _with(model, Guiding("APG", AdaptiveProjection, (eta, norm_threshold, momentum)))


@node("TCFG", "MODEL")
def tcfg(*, model: MODEL) -> Model:
    """Guidance without what is across to both texts."""
    return _with(model, Guiding("TCFG", TangentialDamping))


@node("CFGZeroStar", "MODEL")
def cfg_zero_star(*, model: MODEL) -> Model:
    """Guidance away from the negative text by its optimised scale."""
    return _with(model, Guiding("CFGZeroStar", OptimizedScale))


@node("Mahiro", "MODEL")
def mahiro(*, model: MODEL) -> Model:
    """Guidance that leans towards the positive text, the less both texts agree."""
    return _with(model, Guiding("Mahiro", TowardsPositive))


@node("PerpNeg", "MODEL")
def perp_neg(*, model: MODEL, empty_conditioning: CONDITIONING, neg_scale: Scale = 1.0) -> Model:
    """Guidance away from what of the negative text is across to the positive one."""
    own = Guiding("PerpNeg", PerpendicularNegative, (neg_scale,), empty_conditioning)
    return _with(model, own)


@node("PerpNegGuider", "GUIDER")
def perp_neg_guider(
    *,
    model: MODEL,
    positive: CONDITIONING,
    negative: CONDITIONING,
    empty_conditioning: CONDITIONING,
    cfg: Scale = 8.0,
    neg_scale: Scale = 1.0,
) -> Guider:
    """The same as a guider; ControlNets of both sides are those of the empty text too."""
    own = _with(model, Guiding("PerpNegGuider", PerpendicularNegative, (neg_scale,)))
    return Guider(own, positive, negative, cfg, empty_conditioning)


def _with(model: Model, guiding: Guiding) -> Model:
    """The model with such guidance.

    Raises:
      ValueError: one that has another already.
    """
    if model.guiding is not None:
        raise ValueError(
            f"{model.guiding.node} changes the guidance of this model already; bypass one of them"
        )
    return replace(model, guiding=guiding)
