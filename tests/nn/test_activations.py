"""Activations of bfloat16 are rounded once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from jaxsd.nn.activations import gated, silu

ROUNDING = 2.0**-8
"""Half the distance of two numbers of bfloat16, beside the smaller one of them."""

X = np.float64(jnp.linspace(-6, 6, 4001, dtype=jnp.bfloat16))


@pytest.mark.parametrize(("dtype", "most"), [("float32", 2e-6), ("bfloat16", 1.01 * ROUNDING)])
def test_silu(dtype, most):
    got, want = jax.jit(silu)(jnp.asarray(X, dtype)), X / (1 + np.exp(-X))
    assert got.dtype == dtype
    np.testing.assert_allclose(np.float64(got), want, rtol=most)


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-5), ("bfloat16", 1.01 * ROUNDING)])
def test_a_gate(dtype, most):
    value = np.float64(jnp.asarray(np.cos(X) + 2, "bfloat16"))
    got = jax.jit(gated)(jnp.asarray(value, dtype), jnp.asarray(X, dtype))
    want = value * X * (1 + erf(X / np.sqrt(2))) / 2
    assert got.dtype == dtype
    kept = X > -4  # further out, 1 + erf(x) is a difference of near numbers
    np.testing.assert_allclose(np.float64(got)[kept], want[kept], rtol=most)
