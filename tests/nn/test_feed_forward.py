"""The feed-forward layers of a transformer, for some tokens at a time and for all."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxsd.models.openings import outputs_by
from jaxsd.nn import transformer
from jaxsd.nn.transformer import FeedForward

RNG = np.random.default_rng(0)


def compiled(x):
    layer = FeedForward(jnp.float32)
    params = jax.eval_shape(layer.init, jax.random.key(0), x)
    params = jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape).astype(np.float32), params)

    def run(params, x):
        return (layer.apply(params, x) ** 2).sum()

    program = jax.jit(jax.value_and_grad(run, (0, 1)))
    return params, program, jax.jit(layer.apply).lower(params, x).compile()


def test_tokens_in_parts_give_what_all_at_once_give_and_take_less_memory(monkeypatch):
    x = RNG.normal(size=(2, 384, 16)).astype(np.float32)
    params, whole, called = compiled(x)
    monkeypatch.setattr(transformer, "HIDDEN", 2 * 100 * 8 * 16)  # 96 tokens, a divisor
    _, parts, called_in_parts = compiled(x)
    wanted, made = called(params, x), called_in_parts(params, x)
    np.testing.assert_allclose(made, wanted, atol=1e-6 * np.abs(wanted).max())
    # Sums over tokens are in another order.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max()),
        parts(params, x),
        whole(params, x),
    )
    hidden = 4 * x.size * 8
    assert called_in_parts.memory_analysis().temp_size_in_bytes < hidden
    assert called.memory_analysis().temp_size_in_bytes > hidden


def test_there_are_as_many_parameters_either_way(monkeypatch):
    layer, x = FeedForward(jnp.float32), jnp.zeros((1, 64, 8))
    whole = jax.eval_shape(layer.init, jax.random.key(0), x)
    monkeypatch.setattr(transformer, "HIDDEN", 1)
    assert jax.eval_shape(layer.init, jax.random.key(0), x) == whole


def test_who_looks_at_modules_sees_all_tokens(monkeypatch):
    monkeypatch.setattr(transformer, "HIDDEN", 1)
    seen, x = {}, jnp.zeros((1, 64, 8))

    def look(path, output):
        seen["/".join(path)] = output.shape
        return output

    class Around(nn.Module):
        @nn.compact
        def __call__(self, x):
            return FeedForward(jnp.float32, name="ff")(x)

    params = jax.eval_shape(Around().init, jax.random.key(0), x)
    with outputs_by(look):
        jax.eval_shape(Around().apply, params, x)
    assert seen["ff/net_0"] == (1, 64, 32)
    assert seen["ff/net_2"] == (1, 64, 8)
