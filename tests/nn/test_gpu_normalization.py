"""The GPU's form of group normalisation against its equation in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsd.nn.gpu_normalization import group_normalised
from jaxsd.nn.normalization import GroupNorm

RNG = np.random.default_rng(0)
GROUPS, EPSILON = 4, 1e-5
run = jax.jit(partial(group_normalised, GROUPS, EPSILON))


def normalised(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Equation 1 of Wu and He (2018)."""
    batch, height, width, channels = x.shape
    groups = x.reshape(batch, height * width, GROUPS, channels // GROUPS)
    centred = groups - groups.mean((1, 3), keepdims=True)
    deviation = np.sqrt((centred**2).mean((1, 3), keepdims=True) + EPSILON)
    return (centred / deviation).reshape(x.shape) * scale + bias


@pytest.mark.parametrize(
    ("shape", "shifted"),
    [
        ((2, 8, 8, 8), True),
        ((1, 3, 5, 8), False),
        ((2, 24, 32, 128), True),
        ((1, 1, 521, 256), True),
    ],
    ids=["one sum", "no shift", "parts", "a prime number of pixels"],
)
def test_it_is_its_equation(shape: tuple[int, ...], shifted: bool) -> None:
    x = jnp.asarray(RNG.normal(1, 2, shape), jnp.bfloat16)
    shift = jnp.asarray(RNG.normal(size=(shape[0], shape[-1])), jnp.bfloat16) if shifted else None
    scale, bias = RNG.normal(1, 0.2, (2, shape[-1])).astype(np.float32)
    exact = np.asarray(x, np.float64)
    if shift is not None:
        exact = exact + np.asarray(shift, np.float64)[:, None, None]
    got = run(x, shift, scale, bias)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, normalised(exact, scale, bias), rtol=0, atol=2e-6)


def test_a_large_mean_costs_less_than_rounding_to_bfloat16() -> None:
    exact = RNG.normal(100, 1, (1, 17, 17, 8))
    x = jnp.asarray(exact, jnp.bfloat16)
    ones, zeros = np.ones(8, np.float32), np.zeros(8, np.float32)
    got = run(x, None, ones, zeros)
    of_sums = np.abs(got - normalised(np.asarray(x, np.float64), ones, zeros)).max()
    of_rounding = np.abs(got - normalised(exact, ones, zeros)).max()
    assert of_sums < of_rounding / 30


def test_its_derivative_is_that_of_the_two_pass_form() -> None:
    x = jnp.asarray(RNG.normal(size=(2, 6, 4, 8)), jnp.bfloat16)
    shift = jnp.asarray(RNG.normal(size=(2, 8)), jnp.float32)
    scale, bias, weights = jnp.ones(8), jnp.zeros(8), RNG.normal(size=x.shape).astype(np.float32)
    plain = GroupNorm(GROUPS, EPSILON, jnp.float32)

    def fast_loss(x: jax.Array, shift: jax.Array) -> jax.Array:
        return (weights * group_normalised(GROUPS, EPSILON, x, shift, scale, bias)).sum()

    def plain_loss(x: jax.Array, shift: jax.Array) -> jax.Array:
        told = {"params": {"scale": scale, "bias": bias}}
        return (weights * plain.apply(told, x.astype(jnp.float32), shift)).sum()

    got = jax.jit(jax.grad(fast_loss, (0, 1)))(x, shift)
    want = jax.jit(jax.grad(plain_loss, (0, 1)))(x, shift)
    np.testing.assert_allclose(got[1], want[1], rtol=0, atol=1e-4)
    # Of x it is rounded to bfloat16, in both.
    np.testing.assert_allclose(*(np.float32(one[0]) for one in (got, want)), rtol=1e-2, atol=1e-2)
    of_x = jax.grad(lambda x: group_normalised(GROUPS, EPSILON, x, None, scale, bias).sum())
    assert jax.eval_shape(of_x, x).shape == x.shape
