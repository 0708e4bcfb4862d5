"""Norms against NumPy in float64."""

import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import apply, relative_error, uniform

from jaxsd.nn.normalization import group_norm, layer_norm
from jaxsd.types import Array

PARAMS = {"scale": 1 + 0.3 * uniform("scale", (12,)), "bias": uniform("bias", (12,))}


def grouped(x: Array, groups: int, epsilon: float) -> Array:
    """Group norm of [B, h, w, 12] by the formula."""
    x = np.asarray(x, np.float64)
    parts = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
    mean = parts.mean((1, 3), keepdims=True)
    variance = ((parts - mean) ** 2).mean((1, 3), keepdims=True)
    normal = ((parts - mean) / np.sqrt(variance + epsilon)).reshape(x.shape)
    return normal * PARAMS["scale"] + PARAMS["bias"]


@pytest.mark.parametrize("groups", [1, 3, 12])
def test_group_norm(groups: int) -> None:
    x = uniform("x", (2, 5, 4, 12)) * 3 + uniform("offset", (2, 1, 1, 12))
    got = apply(group_norm(groups, 1e-5, None, jnp.float32), PARAMS, x=x)
    assert relative_error(got, grouped(x, groups, 1e-5)) < 1e-6


def test_group_norm_of_a_large_mean() -> None:
    x = uniform("x", (1, 8, 8, 12)) + 4096
    got = apply(group_norm(3, 1e-6, None, jnp.float32), PARAMS, x=x)
    # The input itself is rounded to 2**-12; E[x^2] - E[x]^2 would be wrong by far more than 1.
    assert relative_error(got, grouped(x, 3, 1e-6)) < 1e-3


@pytest.mark.parametrize("epsilon", [1e-5, 1e-6])
def test_epsilon_is_added_to_the_variance(epsilon: float) -> None:
    x = 1e-3 * uniform("x", (1, 4, 4, 12))
    got = apply(group_norm(3, epsilon, None, jnp.float32), PARAMS, x=x)
    assert relative_error(got, grouped(x, 3, epsilon)) < 1e-6
    assert relative_error(got, grouped(x, 3, 11e-6 - epsilon)) > 0.1


def test_group_norm_takes_bfloat16_statistics_in_float32() -> None:
    x = jnp.asarray(uniform("x", (1, 16, 16, 12)) + 30, jnp.bfloat16)
    got = apply(group_norm(3, 1e-6, None, jnp.bfloat16), PARAMS, x=x)
    assert got.dtype == jnp.bfloat16
    want = grouped(np.asarray(x, np.float32), 3, 1e-6)
    assert relative_error(np.float32(got), want) < 2**-7  # one rounding of the result


def test_layer_norm() -> None:
    x = uniform("x", (2, 7, 12)) * 2 + 5
    got = apply(layer_norm(None, jnp.float32), PARAMS, x=x)
    wide = x.astype(np.float64)
    normal = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    assert relative_error(got, normal * PARAMS["scale"] + PARAMS["bias"]) < 1e-6
