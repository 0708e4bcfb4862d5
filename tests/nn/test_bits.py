"""bfloat16 moved by its bits: the same numbers and derivatives, and no float32 copy on the way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import uniform

from jaxsd.nn import dense, winograd_rows
from jaxsd.nn.bits import mapped, moved
from jaxsd.nn.winograd_rows import winograd_of_rows
from jaxsd.types import Array

DTYPES = ["float32", "bfloat16"]


def padded(x: Array, first: Array) -> Array:
    return jnp.pad(jax.lax.dynamic_slice(x, (first, 0), (3, 4)), 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_moving_gives_what_the_function_gives(dtype):
    x = jnp.asarray(uniform("x", (8, 4)), dtype)
    got, want = jax.jit(lambda x: moved(padded, x, jnp.int32(2)))(x), padded(x, 2)
    np.testing.assert_array_equal(got, want)
    assert got.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_derivative_of_moving_moves(dtype):
    x, change = (jnp.asarray(uniform(name, (8, 4)), dtype) for name in ("x", "change"))
    run = lambda x: moved(padded, x, jnp.int32(2))  # noqa: E731
    np.testing.assert_array_equal(jax.jvp(run, (x,), (change,))[1], padded(change, 2))
    gradient = jax.grad(lambda x: (run(x) * 3).sum().astype(jnp.float32))(x)
    np.testing.assert_array_equal(gradient, 3.0 * np.isin(np.arange(8), (2, 3, 4))[:, None] * x**0)


def of(run, xs: Array, weights: Array) -> Array:
    """A map whose function closes over an array."""
    return run(lambda x: jnp.sin(x) * weights, xs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_map_and_its_derivatives_are_those_of_jax(dtype):
    arrays = jnp.asarray(uniform("xs", (6, 5)), dtype), jnp.asarray(uniform("w", (5,)), dtype)
    changes = jnp.asarray(uniform("a", (6, 5)), dtype), jnp.asarray(uniform("b", (5,)), dtype)
    results = []
    for run in (mapped, jax.lax.map):
        value, tangent = jax.jvp(lambda *args, run=run: of(run, *args), arrays, changes)
        loss = lambda *args, run=run: of(run, *args).astype(jnp.float32).sum()  # noqa: E731
        results.append((value, tangent, *jax.grad(loss, (0, 1))(*arrays)))
    for got, want in zip(*results, strict=True):
        assert got.dtype == want.dtype == dtype
        np.testing.assert_array_equal(np.float32(got), np.float32(want))


def test_a_map_can_be_batched():
    xs, weights = jnp.asarray(uniform("xs", (2, 6, 5)), "bfloat16"), jnp.ones((2, 5), "bfloat16")
    got = jax.vmap(lambda *args: of(mapped, *args))(xs, weights)
    np.testing.assert_array_equal(got, jnp.sin(xs))


def compiled(run, *arrays: Array) -> str:
    return jax.jit(run).lower(*arrays).compile().as_text()


def test_a_loop_does_not_convert_its_whole_result_at_every_turn():
    xs, weights = jnp.zeros((16, 24), "bfloat16"), jnp.ones(24, "bfloat16")
    assert "f32[16,24]" not in compiled(lambda *args: of(mapped, *args), xs, weights)


def test_bands_of_a_convolution_stay_in_bfloat16(monkeypatch):
    monkeypatch.setattr(dense, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(winograd_rows, "BAND", 64)
    jax.clear_caches()
    x, kernel = jnp.zeros((1, 32, 20, 8), "bfloat16"), jnp.zeros((3, 3, 8, 24), "bfloat16")
    text = compiled(lambda *args: winograd_of_rows(*args), x, kernel)
    assert "while(" in text
    for whole in ("f32[1,34,22,8]", "f32[16,2,20,24]", "f32[1,32,20,24]"):
        assert whole not in text
