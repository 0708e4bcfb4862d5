"""The TPU's form of group normalisation beside the form in two passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsd.nn.normalization import GroupNorm
from jaxsd.nn.processor import traced_for


def normalised(platform: str, x: jax.Array, shift: jax.Array | None, scale: jax.Array) -> jax.Array:
    """By the form of a platform, in float32."""
    norm = GroupNorm(4, 1e-5, jnp.float32)
    with traced_for(platform):
        return norm.apply({"params": {"scale": scale, "bias": 1 - scale}}, x, shift)


@pytest.mark.parametrize("shifted", [False, True])
def test_it_is_group_normalisation(shifted: bool) -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 5, 6, 8)).astype(jnp.bfloat16) + 1
    scale = jax.random.uniform(keys[2], (8,))
    shift = jax.random.normal(keys[1], (2, 8)).astype(jnp.bfloat16) if shifted else None
    exact = x.astype(jnp.float32)
    if shift is not None:
        exact = exact + shift.astype(jnp.float32)[:, None, None]
    expected = normalised("cpu", exact, None, scale)
    np.testing.assert_allclose(normalised("tpu", x, shift, scale), expected, atol=2e-6)


def test_a_large_mean_costs_less_than_rounding_to_bfloat16() -> None:
    exact = 100 + jax.random.normal(jax.random.key(1), (1, 17, 17, 8))
    x, ones = exact.astype(jnp.bfloat16), jnp.ones(8)
    of_sums = normalised("tpu", x, None, ones) - normalised("cpu", x.astype("float32"), None, ones)
    of_rounding = normalised("tpu", x, None, ones) - normalised("cpu", exact, None, ones)
    assert jnp.abs(of_sums).max() < jnp.abs(of_rounding).max() / 30
