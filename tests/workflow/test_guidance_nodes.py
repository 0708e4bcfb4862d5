"""Nodes that change guidance: their formulas in float64, and what goes together."""

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
import pytest
from guidance_arrays import NEGATIVE, PROMPT, ROW, X, x0_of
from slow_loop import relative_error
from tiny_models import TINY, uniform

from jaxsd.executables import Executables
from jaxsd.sampling import Step
from jaxsd.sampling.call import Branches
from jaxsd.sampling.features import FEATURES
from jaxsd.sampling.features.areas import Areas
from jaxsd.sampling.features.sides import (
    AdaptiveProjection,
    Formula,
    OptimizedScale,
    PerpendicularNegative,
    TangentialDamping,
    TowardsPositive,
)
from jaxsd.workflow import Workspace, arrays
from jaxsd.workflow.nodes import (
    apg,
    cfg_zero_star,
    empty_latent_image,
    k_sampler,
    mahiro,
    perp_neg,
    perp_neg_guider,
    rescale_cfg,
    self_attention_guidance,
    tcfg,
)
from jaxsd.workflow.values import Condition, Guider, Model

SPEC = TINY["sd1"]
MODEL = Model(SPEC, {}, Executables(), "float32")
TEXT = (Condition(np.zeros((1, 77, 4), np.float32), None),)
EMPTY, EARLIER = (uniform(name, X.shape) for name in ("empty", "earlier"))
SCALE = 5.0
COMBINE = jax.jit(FEATURES["areas"].combine)


def guided(kind: type[Formula], *numbers: float) -> tuple[np.ndarray, np.ndarray]:
    """x0 of two images by a formula, and what it keeps."""
    formula = kind(*(np.full(2, one, np.float32) for one in (SCALE, *numbers)))
    held = Areas(np.ones((2, 3, 5, 6, 1), np.float32), (None,) * 3, formula)
    column = np.tile(np.eye(3, dtype=np.float32)[[0, 2, 1]], (2, 1, 1))
    branches = Branches(X, np.stack([NEGATIVE, EMPTY, PROMPT], axis=1))
    step, before = Step(ROW, {"areas": column}), {"areas": EARLIER}
    output, memory = COMBINE(held, branches, X, step, before)
    return x0_of(np.asarray(output)), np.asarray(memory["areas"])


U, C, E = (x0_of(output) for output in (NEGATIVE, PROMPT, EMPTY))
NOISED = X / ROW.c_in[:, None, None, None] / ROW.level[:, 0, None, None, None]
"""Latents as x0 + sigma*noise."""


def length(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).sum()))


def projected(norm: float, eta: float, momentum: float) -> Callable[[int], np.ndarray]:
    def of(i: int) -> np.ndarray:
        change = C[i] - U[i] + momentum * EARLIER[i]
        if norm:
            change = change * min(1, norm / length(change))
        unit = C[i] / length(C[i])
        along = (change * unit).sum() * unit
        prompt = U[i] + (change - along + eta * along) + (C[i] - U[i]) / SCALE
        return U[i] + SCALE * (prompt - U[i])

    return of


def damped(i: int) -> np.ndarray:
    noises = np.stack([(NOISED[i] - one[i]).ravel() for one in (U, C)])
    first = np.linalg.svd(noises, full_matrices=False)[2][0]
    u = NOISED[i] - ((noises[0] @ first) * first).reshape(U[i].shape)
    return u + SCALE * (C[i] - u)


def optimised(i: int) -> np.ndarray:
    u, c = NOISED[i] - U[i], NOISED[i] - C[i]
    s = (u * c).sum() / (u**2).sum()
    return U[i] + SCALE * (C[i] - U[i]) + U[i] * (s - 1) + SCALE * U[i] * (1 - s)


def leaning(i: int) -> np.ndarray:
    leap, plain = SCALE * C, U + SCALE * (C - U)
    a, b = (np.sign(x) * np.sqrt(np.abs(x)) for x in (SCALE * U, (leap + plain) / 2))
    cosines = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    share = 2 * (cosines.mean() + 1)
    return (share * plain[i] + (4 - share) * leap[i]) / 4


def across(weight: float) -> Callable[[int], np.ndarray]:
    c, u = C - E, U - E
    perpendicular = u - (u * c).sum() / (c**2).sum() * c
    return lambda i: E[i] + SCALE * (c[i] - weight * perpendicular[i])


@pytest.mark.parametrize(
    ("kind", "numbers", "want"),
    [
        (AdaptiveProjection, (0.3, 4.0, -0.5), projected(4.0, 0.3, -0.5)),
        (AdaptiveProjection, (1.0, 0.0, 0.0), projected(0.0, 1.0, 0.0)),
        (TangentialDamping, (), damped),
        (OptimizedScale, (), optimised),
        (TowardsPositive, (), leaning),
        (PerpendicularNegative, (1.5,), across(1.5)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_formulas_are_those_of_comfyui(
    kind: type[Formula], numbers: tuple[float, ...], want: Callable[[int], np.ndarray]
) -> None:
    found, kept = guided(kind, *numbers)
    for image in range(2):
        assert relative_error(found[image], want(image)) < 1e-5
    if kind is AdaptiveProjection:
        assert relative_error(kept, C - U + numbers[2] * EARLIER) < 1e-6
    else:
        np.testing.assert_array_equal(kept, EARLIER)


def test_a_plain_projection_is_one_more_guidance() -> None:
    """ComfyUI's APG adds w times the guidance to the positive x0, where its paper adds w - 1."""
    found, _ = guided(AdaptiveProjection, 1.0, 0.0, 0.0)
    assert relative_error(found, C + SCALE * (C - U)) < 1e-5


def test_texts_that_are_the_empty_one_are_no_zero_by_zero() -> None:
    formula = PerpendicularNegative(*(np.ones(2, np.float32) for _ in range(2)))
    held = Areas(np.ones((2, 3, 5, 6, 1), np.float32), (None,) * 3, formula)
    column = np.tile(np.eye(3, dtype=np.float32)[[0, 2, 1]], (2, 1, 1))
    branches = Branches(X, np.stack([NEGATIVE, PROMPT, PROMPT], axis=1))
    step = Step(ROW, {"areas": column})
    output, _ = COMBINE(held, branches, X, step, {"areas": EARLIER})
    assert relative_error(x0_of(np.asarray(output)), C - (U - C)) < 1e-5


def test_sides_of_nodes() -> None:
    """The empty text is the middle side; a negative side that does not count is not computed."""

    def sides(model: Model, cfg: float) -> arrays.Sides:
        return arrays.guided_sides(Guider(model, TEXT, TEXT, cfg), plus_plus=False)

    assert sides(apg(model=MODEL), 4.0).guiding.numbers == (1.0, 5.0, 0.0)
    assert sides(apg(model=MODEL), 1.0).guiding is None
    own = sides(perp_neg(model=MODEL, empty_conditioning=TEXT), 1.0)
    assert (len(own.negative), len(own.middle), len(own.positive)) == (1, 1, 1)
    weights = arrays.side_weights(own, np.ones((2, 3), bool), np.ones(2))
    np.testing.assert_array_equal(weights[1], np.eye(3)[[0, 2, 1]])

    def of_guider(cfg: float, neg_scale: float) -> arrays.Sides:
        texts = {"positive": TEXT, "negative": TEXT, "empty_conditioning": TEXT}
        made = perp_neg_guider(model=MODEL, cfg=cfg, neg_scale=neg_scale, **texts)
        return arrays.guided_sides(made, plus_plus=False)

    assert of_guider(4.0, 1.0).guiding.node == "PerpNegGuider"
    plain = of_guider(4.0, 0.0)
    assert (plain.guiding, len(plain.negative), plain.middle) == (None, 1, ())
    assert of_guider(1.0, 0.0).negative == ()


def test_what_does_not_go_together() -> None:
    told = {"positive": TEXT, "negative": TEXT, "scheduler": "normal", "cfg": 4.0}
    told |= {"sampler_name": "euler", "latent_image": empty_latent_image(width=64, height=64)}
    v = replace(MODEL, spec=replace(SPEC, prediction="v"))
    for model, changes, message in (
        (tcfg(model=MODEL.changed(pag=1.0)), {}, "TCFG and PerturbedAttentionGuidance do not"),
        (mahiro(model=MODEL), {"sampler_name": "euler_cfg_pp"}, r"Mahiro and a sampler of CFG\+\+"),
        (apg(model=self_attention_guidance(model=MODEL)), {}, "APG and SelfAttentionGuidance"),
        (cfg_zero_star(model=rescale_cfg(model=v)), {}, "CFGZeroStar and RescaleCFG do not"),
    ):
        with pytest.raises(ValueError, match=message):
            k_sampler(Workspace(), model=model, **told | changes)
    with pytest.raises(ValueError, match="APG changes the guidance of this model already"):
        tcfg(model=apg(model=MODEL))
