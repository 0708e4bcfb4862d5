"""Sinusoids in closed form."""

import math

import jax
import numpy as np
import pytest
from tiny_models import apply, uniform

from jaxsd.nn import embeddings
from jaxsd.nn.embeddings import TimestepEmbedding

sinusoids = jax.jit(embeddings.sinusoids, static_argnums=1)
guidance_sinusoids = jax.jit(embeddings.guidance_sinusoids, static_argnums=1)

ROUNDING = 2.0**-22
"""Relative error of a float32 angle: one rounding of the frequency, one of the product."""


@pytest.mark.parametrize("dim", [8, 32, 320])
def test_timesteps_have_cosines_first(dim: int) -> None:
    values = [0.0, 1.0, 0.5, 999.0]
    got = sinusoids(np.float32(values), dim)
    assert got.shape == (4, dim)
    for row, value in zip(np.asarray(got), values, strict=True):
        for i in range(dim // 2):
            angle = value / 10000.0 ** (i / (dim // 2))
            tolerance = 1e-6 + value * ROUNDING
            assert row[i] == pytest.approx(math.cos(angle), abs=tolerance)
            assert row[dim // 2 + i] == pytest.approx(math.sin(angle), abs=tolerance)


def test_guidance_has_sines_first_and_ends_at_one_ten_thousandth() -> None:
    got = np.asarray(guidance_sinusoids(np.float32([1.0, 1.5, 8.5]), 256))
    for row, scale in zip(got, [1.0, 1.5, 8.5], strict=True):
        for i in range(128):
            angle = 1000 * (scale - 1) / 10000.0 ** (i / 127)
            tolerance = 1e-6 + 1000 * (scale - 1) * ROUNDING
            assert row[i] == pytest.approx(math.sin(angle), abs=tolerance)
            assert row[128 + i] == pytest.approx(math.cos(angle), abs=tolerance)
    assert got[2, 127] == pytest.approx(math.sin(0.75), abs=1e-6)


def test_integers_stay_exact_in_float32() -> None:
    # bfloat16 has no 1080: the micro-conditions of XL would be those of another size.
    near = np.asarray(sinusoids(np.float32([1080.0, 1081.0]), 256))
    assert np.abs(near[0] - near[1]).max() > 0.5


def test_the_condition_is_added_to_the_sinusoid() -> None:
    x, condition = uniform("wave", (2, 6)), uniform("condition", (2, 5))
    module = TimestepEmbedding(7, np.float32)
    params = {
        "cond_proj": {"kernel": uniform("g", (5, 6))},
        "linear_1": {"kernel": uniform("1", (6, 7)), "bias": uniform("b1", (7,))},
        "linear_2": {"kernel": uniform("2", (7, 7)), "bias": uniform("b2", (7,))},
    }
    got = apply(module, params, x=x, condition=condition)
    h = (x + condition @ params["cond_proj"]["kernel"]) @ params["linear_1"]["kernel"]
    h = h + params["linear_1"]["bias"]
    h = h / (1 + np.exp(-h))
    want = h @ params["linear_2"]["kernel"] + params["linear_2"]["bias"]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
