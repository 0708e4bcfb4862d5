"""Ways to guide, on arrays: the formulas of their papers in float64, and what they must keep."""

from typing import Any

import numpy as np
import pytest
from guidance_arrays import NEGATIVE, PROMPT, ROW, SCALE, SCHEDULE, X, combined, x0_of
from slow_loop import relative_error, run_table, toy_network
from tiny_models import uniform

from jaxsd.sampling import Step
from jaxsd.sampling.call import Branches
from jaxsd.sampling.features import FEATURES
from jaxsd.schedulers import Tableau, build
from jaxsd.schedulers.guidance import plus_plus


def length(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).sum()))


def test_apg_is_the_algorithm_of_its_paper() -> None:
    eta, norm, momentum = 0.3, 4.0, -0.5
    earlier = uniform("earlier", X.shape)
    got, memory = combined("apg", SCALE, eta, norm, momentum, memory={"apg": earlier})
    for image in range(2):
        negative, prompt = x0_of(NEGATIVE)[image], x0_of(PROMPT)[image]
        change = prompt - negative + momentum * earlier[image].astype(float)
        assert relative_error(np.asarray(memory["apg"])[image], change) < 2e-6
        assert length(change) > norm, "the bound is reached"
        change *= min(1, norm / length(change))
        unit = prompt / length(prompt)
        along = (change * unit).sum() * unit
        want = prompt + (SCALE - 1) * (change - along + eta * along)
        assert relative_error(x0_of(got)[image], want) < 5e-6


def test_cfg_zero_is_the_formula_of_its_paper() -> None:
    got, _ = combined("cfg_zero", SCALE, 1.0)
    for image in range(2):
        negative, prompt = NEGATIVE[image].astype(float), PROMPT[image].astype(float)
        scale = (prompt * negative).sum() / (negative**2).sum()
        want = scale * negative + SCALE * (prompt - scale * negative)
        assert relative_error(got[image], want) < 2e-6
    assert not combined("cfg_zero", SCALE, 0.0)[0].any()


def test_mimic_scale_is_the_formula_of_the_extension() -> None:
    mimic, percentile = 2.0, 0.9
    got = x0_of(combined("mimic", mimic / SCALE, percentile)[0])
    for image in range(2):
        for channel in range(4):
            negative, prompt = (x0_of(output)[image, ..., channel] for output in (NEGATIVE, PROMPT))
            x0 = negative + SCALE * (prompt - negative)
            weaker = negative + mimic * (prompt - negative)
            narrow = np.abs(weaker - weaker.mean()).max()
            widest = max(narrow, np.quantile(np.abs(x0 - x0.mean()), percentile))
            want = np.clip(x0 - x0.mean(), -widest, widest) / widest * narrow + x0.mean()
            assert relative_error(got[image, ..., channel], want) < 1e-5


def test_dynamic_thresholding_is_the_one_of_imagen() -> None:
    step = Step(ROW, {"threshold": np.float32([[0.9, 0.5], [1.0, 3.0]])})
    got = FEATURES["threshold"].on_x0(X, step)
    s = np.quantile(np.abs(X[0].astype(float)), 0.9)
    assert s > 0.5
    assert relative_error(got[0], np.clip(X[0], -s, s) * 0.5 / s) < 1e-6
    np.testing.assert_allclose(got[1], X[1], rtol=1e-6)  # everything lies within


def test_regions_are_averaged_by_weight_as_in_comfyui() -> None:
    """The guided prediction of each pixel is the weighted mean of its parts' predictions."""
    parts = [PROMPT, uniform("second", X.shape), uniform("third", X.shape)]
    weights = np.abs(uniform("weights", (3, 2, 5, 6, 1))).astype(float)
    shares = np.float32(weights / weights.sum(axis=0)).transpose(1, 0, 2, 3, 4)
    step = Step(ROW, {"weight": np.full((2, 3), SCALE, np.float32)})
    branches = Branches(X, np.stack([NEGATIVE, *parts], axis=1))
    got, _ = FEATURES["region"].combine(shares, branches, X, step, {})
    mean = sum(w * part for w, part in zip(weights, parts, strict=True)) / weights.sum(axis=0)
    assert relative_error(got, NEGATIVE + SCALE * (mean - NEGATIVE)) < 2e-6


# CFG++: methods that take the noise of the unguided prediction, step by step, as k-diffusion's code
# in ComfyUI does; and our tables, which are told another guidance.


def both(x: np.ndarray, timestep: float) -> tuple[np.ndarray, np.ndarray]:
    """The toy network without and with a prompt."""
    return toy_network(x, timestep), toy_network(0.7 * x + 0.2, timestep + 60)


def by_table(tableau: Tableau, scale: float, x: np.ndarray, noises: np.ndarray) -> np.ndarray:
    factors, momentum = plus_plus(tableau)
    rows, kept = iter(range(tableau.rows)), [np.zeros_like(x)]

    def network(x: np.ndarray, timestep: float) -> np.ndarray:
        row, (negative, prompt) = next(rows), both(x, timestep)
        out = float(tableau.c_out[row])
        kept[0] = scale * factors[row] * out * (prompt - negative) + momentum[row] * kept[0]
        return negative + kept[0] / out

    return run_table(tableau, x, noises, network)


def slowly(sampler: str, tableau: Tableau, scale: float, x: np.ndarray, noises: np.ndarray) -> Any:
    """In sigma, from tables that are in sigma or alike: z is divided by alpha."""
    sigma = tableau.sigma.astype(float) / tableau.alpha
    x, before = x * float(tableau.start[1]) / float(tableau.alpha[0]), None
    for i in range(tableau.rows):
        now, then = sigma[i], sigma[i + 1]
        alpha = float(tableau.alpha[i])
        inner = float(tableau.c_in[i]) * alpha * x
        skip, out = float(tableau.c_skip[i]) * alpha, float(tableau.c_out[i])
        negative, prompt = (skip * x + out * one for one in both(inner, float(tableau.timestep[i])))
        guided = negative + scale * (prompt - negative)
        noise = (x - negative) / now
        if sampler == "euler_a":
            up = min(then, np.sqrt(then**2 * (now**2 - then**2) / now**2))
            x = guided + noise * np.sqrt(then**2 - up**2) + up * noises[i]
        elif sampler != "dpm++_2m" or before is None or then == 0 or i == tableau.rows - 1:
            x = guided + noise * then
        else:
            h, earlier = np.log(now / then), np.log(sigma[i - 1] / now)
            shift = (guided - before) * h / (2 * earlier)
            x = np.exp(-h) * (x - negative) + guided - np.expm1(-h) * shift
        before = negative
    return x * float(tableau.alpha[-1])


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("sampler", ["euler", "ddim", "euler_a", "dpm++_2m"])
def test_cfg_plus_plus_is_guidance_by_other_columns(sampler: str, prediction: str) -> None:
    tableau = build(sampler, SCHEDULE, 7, prediction)
    x, noises = X.astype(float), uniform("noises", (7, *X.shape)).astype(float)
    for scale in (0.0, 0.6, 1.0):
        want = slowly(sampler, tableau, scale, x, noises)
        # The table is float32.
        assert relative_error(by_table(tableau, scale, x, noises), want) < 2e-5


def test_momentum_adds_the_guidance_of_the_row_before() -> None:
    earlier = uniform("earlier", X.shape)
    got, memory = combined("momentum", 0.4, memory={"momentum": earlier})
    guidance = SCALE * (x0_of(PROMPT) - x0_of(NEGATIVE)) + 0.4 * earlier
    assert relative_error(np.asarray(memory["momentum"]), guidance) < 2e-6
    assert relative_error(x0_of(got), x0_of(NEGATIVE) + guidance) < 2e-6


@pytest.mark.parametrize("sampler", ["heun", "pndm", "dpm++_3m_sde", "unipc"])
def test_cfg_plus_plus_needs_a_method_that_it_can_tell(sampler: str) -> None:
    with pytest.raises(ValueError, match="cfg_pp is for samplers"):
        plus_plus(build(sampler, SCHEDULE, 7, "epsilon"))
