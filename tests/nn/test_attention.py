"""Attention against a loop in plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from tiny_models import relative_error, uniform

from jaxsd.nn import attention as module
from jaxsd.types import Array

attention = jax.jit(module.attention)


def loop(q: Array, k: Array, v: Array, mask: Array | None = None) -> Array:
    """One query at a time, in float64."""
    q, k, v = (np.asarray(a, np.float64) for a in (q, k, v))
    out = np.zeros((*q.shape[:3], v.shape[-1]))
    for b, i, h in np.ndindex(q.shape[:3]):
        allowed = [j for j in range(k.shape[1]) if mask is None or mask[i, j]]
        logits = np.array([q[b, i, h] @ k[b, j, h] / np.sqrt(q.shape[-1]) for j in allowed])
        weights = np.exp(logits - logits.max())
        weights /= weights.sum()
        out[b, i, h] = sum(w * v[b, j, h] for w, j in zip(weights, allowed, strict=True))
    return out


def qkv(length: int, keys: int, heads: int, width: int) -> tuple[Array, Array, Array]:
    shape = (2, keys, heads, width)
    return uniform("q", (2, length, heads, width)), uniform("k", shape), uniform("v", shape)


@pytest.mark.parametrize(
    ("length", "keys", "heads", "width"), [(7, 7, 3, 5), (6, 77, 2, 8), (1, 1, 1, 4), (9, 4, 1, 40)]
)
def test_equals_the_loop(length: int, keys: int, heads: int, width: int) -> None:
    q, k, v = qkv(length, keys, heads, width)
    assert relative_error(attention(q, k, v), loop(q, k, v)) < 1e-6  # float32 rounding


def test_a_causal_mask_hides_what_comes_later() -> None:
    q, k, v = qkv(6, 6, 2, 4)
    mask = np.tril(np.ones((6, 6), bool))
    got = attention(q, k, v, jnp.asarray(mask))
    assert relative_error(got, loop(q, k, v, mask)) < 1e-6
    changed = attention(q, k.copy(), np.where(np.arange(6)[:, None, None] == 5, 9.0, v), mask)
    np.testing.assert_array_equal(got[:, :5], changed[:, :5])


def test_equal_keys_average_the_values() -> None:
    q, k, v = qkv(3, 5, 2, 4)
    got = attention(q, np.ones_like(k), v)
    np.testing.assert_allclose(got, np.broadcast_to(v.mean(1, keepdims=True), got.shape), atol=1e-6)


def test_large_logits_do_not_overflow() -> None:
    q, k, v = qkv(4, 4, 1, 8)
    got = attention(100 * q, 100 * k, v)
    assert relative_error(got, loop(100 * q, 100 * k, v)) < 1e-4  # logits of 1e4 carry 1e-3


def test_bfloat16_weighs_in_float32() -> None:
    # A weight of 1/2 + 2**-12 cannot be told from 1/2 by bfloat16 logits near 8.
    q = jnp.full((1, 1, 1, 4), 2.0, jnp.bfloat16)
    k = jnp.array([8.0, 8.0], jnp.bfloat16)[None, :, None, None] * jnp.ones((1, 1, 1, 4))
    k = k.astype(jnp.bfloat16).at[0, 1, 0, 0].set(8.0625)
    v = jnp.array([0.0, 1.0], jnp.bfloat16)[None, :, None, None] * jnp.ones((1, 1, 1, 4))
    got = attention(q, k, v.astype(jnp.bfloat16))
    assert got.dtype == jnp.bfloat16
    # Logits 32 and 32.0625 are one number in bfloat16: without float32 this would be 0.5.
    want = 1 / (1 + np.exp(-0.0625))
    np.testing.assert_allclose(np.float32(got), want, atol=2**-9)


def test_gradient_is_that_of_finite_differences() -> None:
    q, k, v = qkv(3, 3, 1, 4)
    check_grads(jax.jit(module.attention), (q, k, v), order=1, modes=["rev"])
