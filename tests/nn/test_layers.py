"""Layers that read their parameters by shape alone are Flax's own in all else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.errors import ScopeParamShapeError

from jaxsd.nn import layers

X = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype(np.float32)
PAIRS = [
    (layers.Dense(4), nn.Dense(4), X),
    (layers.Conv(4, (3, 3)), nn.Conv(4, (3, 3)), X),
    (layers.LayerNorm(), nn.LayerNorm(), X),
    (layers.Embed(7, 4), nn.Embed(7, 4), np.arange(6)),
]


@pytest.mark.parametrize(("ours", "theirs", "x"), PAIRS, ids=lambda one: type(one).__name__)
def test_values_and_results_are_those_of_flax(
    ours: nn.Module, theirs: nn.Module, x: object
) -> None:
    params = theirs.init(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, ours.init(jax.random.key(0), x), params)
    np.testing.assert_array_equal(ours.apply(params, x), theirs.apply(params, x))


def test_the_initializer_is_left_alone_where_the_parameter_is() -> None:
    asked = []

    def zeros(key: object, shape: tuple[int, ...], dtype: object = jnp.float32) -> jax.Array:
        asked.append(shape)
        return jnp.zeros(shape, dtype)

    layer = layers.Dense(4, kernel_init=zeros)
    params = layer.init(jax.random.key(0), X)
    assert asked == [(3, 4)]
    layer.apply(params, X)
    assert asked == [(3, 4)]


def test_another_shape_is_refused() -> None:
    params = layers.Dense(4).init(jax.random.key(0), X)
    with pytest.raises(ScopeParamShapeError, match=r"\(4, 4\)|\(3, 4\)"):
        layers.Dense(4).apply(params, np.ones((2, 4), np.float32))
