"""GLIGEN's layers: waves of boxes, learnt tokens, gates, and tokens without an order."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from tiny_models import TINY, random_params, uniform

from jaxsd.config import HypernetConfig
from jaxsd.models.gligen import GatedSelfAttention, PositionNet, heads_of, waves
from jaxsd.nn.transformer import Attention
from jaxsd.sampling import Step
from jaxsd.sampling.call import Networks
from jaxsd.sampling.features import hypernet
from jaxsd.types import Array

BOXES = np.abs(uniform("boxes", (2, 3, 4)))
TEXTS = uniform("texts", (2, 3, 5))
THERE = np.array([[True, True, False]] * 2)
LAYER = GatedSelfAttention(2, jnp.float32)
X, TOKENS = uniform("x", (2, 6, 8)), uniform("tokens", (2, 3, 5))


@pytest.fixture(scope="module")
def params() -> dict:
    shapes = jax.eval_shape(LAYER.init, jax.random.key(0), X, TOKENS)
    return random_params(shapes["params"])


def test_waves_are_in_the_order_that_files_were_trained_with() -> None:
    want = [
        wave(100 ** (k / 8) * side)
        for k in range(8)
        for wave in (np.sin, np.cos)
        for side in BOXES[1, 2].astype(float)
    ]
    np.testing.assert_allclose(waves(BOXES)[1, 2], want, atol=2e-5)  # angles up to 173 in float32


def test_a_learnt_token_knows_no_box() -> None:
    net = PositionNet(7)
    shapes = jax.eval_shape(net.init, jax.random.key(0), TEXTS, BOXES, THERE)
    tree = {"params": random_params(shapes["params"])}
    first = net.apply(tree, TEXTS, BOXES, THERE)
    assert first.shape == (2, 3, 7)
    for texts, boxes in ((TEXTS + 1, BOXES), (TEXTS, BOXES / 2)):
        apart = np.abs(net.apply(tree, texts, boxes, THERE) - first).max(axis=-1)
        np.testing.assert_array_equal(apart > 1e-3, THERE)
        assert (apart[~THERE] == 0).all()


def test_closed_gates_change_nothing(params: dict) -> None:
    """Training begins so."""
    zero = jnp.zeros(())
    closed = params | {"alpha_attn": zero, "alpha_dense": zero}
    np.testing.assert_array_equal(LAYER.apply({"params": closed}, X, TOKENS), X)
    for name in ("alpha_attn", "alpha_dense"):
        assert np.abs(LAYER.apply({"params": closed | {name: zero + 1}}, X, TOKENS) - X).max() > 0.1


def test_tokens_have_no_order_and_all_are_seen(params: dict) -> None:
    made = LAYER.apply({"params": params}, X, TOKENS)
    turned = LAYER.apply({"params": params}, X, TOKENS[:, ::-1])
    np.testing.assert_allclose(turned, made, atol=1e-5)  # sums in another order
    for i in range(3):
        other = np.array(TOKENS)
        other[:, i] += 1
        assert np.abs(LAYER.apply({"params": params}, X, other) - made).max() > 1e-3


def test_hypernetworks_leave_the_layers_alone(params: dict) -> None:
    """They know the tokens of a U-Net's own attention by their width, which is the same here."""
    layer = {"kernel": np.eye(8, dtype=np.float32), "bias": np.ones(8, np.float32)}
    networks = Networks(None, None, (), hypernets=(HypernetConfig("linear", True),))
    trees = {"hypernet": [{"8": {"to_k": [layer], "to_v": [layer]}}]}
    call, step = SimpleNamespace(x=X), Step(None, {"hypernet": np.ones((2, 1), np.float32)})
    own = Attention(2, jnp.float32)
    tree = random_params(jax.eval_shape(own.init, jax.random.key(0), X)["params"])

    def unet(call: object, step: Step, memory: dict) -> tuple:
        alone = LAYER.apply({"params": params}, X, TOKENS)
        return (alone, Block().apply({"params": {"attn1": tree}}, X)), memory

    (alone, attended), _ = hypernet.wrap(networks, trees, None, unet)(call, step, {})
    np.testing.assert_array_equal(alone, LAYER.apply({"params": params}, X, TOKENS))
    assert np.abs(attended - own.apply({"params": tree}, X)).max() > 0.1


class Block(nn.Module):
    """An attention of a U-Net, by its name."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return Attention(2, jnp.float32, name="attn1")(x)


def test_heads_are_those_of_the_block() -> None:
    unet = TINY["sd2"].unet
    assert [heads_of(unet, f"down_blocks_{i}") for i in range(3)] == [2, 4, 8]
    assert [heads_of(unet, f"up_blocks_{i}") for i in range(3)] == [8, 4, 2]
    assert heads_of(unet, "mid_block") == 8
