"""Attention against a loop in plain NumPy."""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from tiny_models import relative_error, uniform

from jaxsd.nn import attention as module
from jaxsd.nn import long_attention
from jaxsd.nn.plain_attention import plain_attention
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


LONG = module.LONG


@pytest.mark.parametrize("length", [LONG, LONG + 76])  # queries that do and do not fill the chunks
@pytest.mark.parametrize("form", ["transposed_attention", "blockwise_attention"])
def test_the_forms_for_many_keys_equal_the_plain_one(form: str, length: int) -> None:
    q, k, v = qkv(length, LONG, 2, 8)
    got = jax.jit(getattr(long_attention, form))(q, k, v)
    assert got.shape == q.shape
    assert relative_error(got, jax.jit(plain_attention)(q, k, v)) < 1e-5  # a thousand terms each


@pytest.mark.parametrize(("keys", "queries"), [(4096, 128), (9216, 128), (16384, 64)])
def test_the_transposed_form_has_few_logits_at_a_time(keys: int, queries: int) -> None:
    tokens = jax.ShapeDtypeStruct((2, keys, 1, 8), jnp.float32)
    jaxpr = str(jax.make_jaxpr(long_attention.transposed_attention)(tokens, tokens, tokens))
    logits = {int(n) for n in re.findall(rf"f32\[2,{keys},(\d+)\] = dot_general", jaxpr)}
    assert logits == {queries}


@pytest.mark.parametrize("fast", [False, True])
def test_the_transposed_form_in_bfloat16(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_attention, "multiplies_bfloat16", lambda: fast)
    exact = qkv(LONG, LONG, 2, 40)
    narrow = [part.astype(jnp.bfloat16) for part in exact]
    lowered = jax.jit(lambda *args: long_attention.transposed_attention(*args)).lower(*narrow)
    assert ("x48x1024xbf16" in lowered.as_text()) == fast  # values with eight rows of ones
    want = plain_attention(*(part.astype(jnp.float32) for part in narrow))
    assert relative_error(np.float32(lowered.compile()(*narrow)), want) < 2**-7


def test_many_keys_are_attended_to_by_the_transposed_form_on_a_cpu() -> None:
    q, k, v = qkv(8, LONG, 2, 8)
    np.testing.assert_array_equal(
        attention(q, k, v), jax.jit(long_attention.transposed_attention)(q, k, v)
    )


def test_the_transposed_form_keeps_large_logits_finite() -> None:
    q, k, v = qkv(4, LONG, 1, 8)
    got = attention(100 * q, 100 * k, v)
    assert relative_error(got, loop(100 * q, 100 * k, v)) < 1e-4  # logits of 1e4 carry 1e-3


def test_both_modes_of_the_derivative_for_many_keys() -> None:
    q, k, v = qkv(LONG, LONG, 1, 4)

    def derivatives(attend: Callable[..., Array]) -> Callable[..., Array]:
        def both(q: Array, k: Array, v: Array) -> tuple[Array, tuple[Array, ...]]:
            out, back = jax.vjp(attend, q, k, v)
            return jax.jvp(attend, (q, k, v), (k, v, q))[1], back(jnp.cos(out))

        return jax.jit(both)

    got, want = derivatives(module.attention)(q, k, v), derivatives(plain_attention)(q, k, v)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert relative_error(one, other) < 1e-5  # sums of a thousand terms in float32


def test_the_gradient_for_many_keys_keeps_no_logits() -> None:
    q = jnp.zeros((1, LONG, 1, 8))
    kept = jax.tree.leaves(jax.eval_shape(lambda q: jax.vjp(module.attention, q, q, q)[1], q))
    assert max(leaf.size for leaf in kept) < LONG**2 / 4


def test_bfloat16_for_many_keys() -> None:
    q, k, v = (jnp.asarray(a, jnp.bfloat16) for a in qkv(LONG, LONG, 1, 8))
    got = attention(q, k, v)
    want = plain_attention(*(a.astype(jnp.float32) for a in (q, k, v)))
    assert got.dtype == jnp.bfloat16
    assert relative_error(np.float32(got), want) < 2**-7  # a few roundings to 8 bits
