"""The transformer of the U-Net against NumPy, block by block."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import apply, random_params, relative_error, uniform

from jaxsd.nn.transformer import (
    GEGLU,
    Attention,
    FeedForward,
    SpatialTransformer,
    TransformerBlock,
)
from jaxsd.types import Array, Params

WIDTH, CONTEXT = 12, 10
TOKENS = uniform("tokens", (2, 6, WIDTH))
TEXT = uniform("text", (2, 9, CONTEXT))


def dense(inputs: int, outputs: int, *, bias: bool = True) -> dict[str, Array]:
    shapes = {"kernel": np.zeros((inputs, outputs))} | ({"bias": np.zeros(outputs)} if bias else {})
    return shapes


def attention_shapes(context: int) -> Params:
    keys = {name: dense(context, WIDTH, bias=False) for name in ("to_k", "to_v")}
    return {"to_q": dense(WIDTH, WIDTH, bias=False), **keys, "to_out_0": dense(WIDTH, WIDTH)}


NORM = {"scale": np.zeros(WIDTH), "bias": np.zeros(WIDTH)}
FF = {"net_0": {"proj": dense(WIDTH, 8 * WIDTH)}, "net_2": dense(4 * WIDTH, WIDTH)}
BLOCK = random_params(
    {
        "norm1": NORM,
        "attn1": attention_shapes(WIDTH),
        "norm2": NORM,
        "attn2": attention_shapes(CONTEXT),
        "norm3": NORM,
        "ff": FF,
    }
)


def linear(params: Params, x: Array) -> Array:
    return x @ params["kernel"].astype(np.float64) + params.get("bias", 0.0)


def normalised(params: Params, x: Array) -> Array:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * params["scale"] + params["bias"]


def attend(params: Params, x: Array, context: Array, heads: int) -> Array:
    """Multi-head attention, head by head."""
    q, k, v = (
        linear(params[name], tokens)
        for name, tokens in (("to_q", x), ("to_k", context), ("to_v", context))
    )
    size, results = WIDTH // heads, []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        logits = q[..., part] @ k[..., part].transpose(0, 2, 1) / math.sqrt(size)
        weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        results.append(weights @ v[..., part])
    return linear(params["to_out_0"], np.concatenate(results, axis=-1))


def gelu(x: Array) -> Array:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def feed_forward(params: Params, x: Array) -> Array:
    value, gate = np.split(linear(params["net_0"]["proj"], x), 2, axis=-1)
    return linear(params["net_2"], value * gelu(gate))


def block(params: Params, x: Array, context: Array, heads: int) -> Array:
    h = normalised(params["norm1"], x)
    x = x + attend(params["attn1"], h, h, heads)
    x = x + attend(params["attn2"], normalised(params["norm2"], x), context, heads)
    return x + feed_forward(params["ff"], normalised(params["norm3"], x))


def test_geglu_gates_by_the_exact_gelu() -> None:
    x = np.linspace(-6, 6, 1201, dtype=np.float32)[:, None]
    params = {"proj": {"kernel": np.float32([[0, 1]]), "bias": np.float32([1, 0])}}
    got = apply(GEGLU(1, jnp.float32), params, x=x)
    want = gelu(x.astype(np.float64))
    # The tanh formula is off by 4.7e-4 near x = 2.2.
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_geglu_has_the_value_first_and_the_gate_second() -> None:
    params = {"proj": {"kernel": np.float32([[1, 0]]), "bias": np.float32([0, 3])}}
    got = apply(GEGLU(1, jnp.float32), params, x=np.float32([[-2.0]]))
    assert float(got[0, 0]) == pytest.approx(-2.0 * float(gelu(np.float64(3.0))), rel=1e-6)


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_to_itself_and_to_a_text(heads: int) -> None:
    network = Attention(heads, jnp.float32)
    got = apply(network, BLOCK["attn1"], x=TOKENS)
    assert relative_error(got, attend(BLOCK["attn1"], TOKENS, TOKENS, heads)) < 1e-6
    got = apply(network, BLOCK["attn2"], x=TOKENS, context=TEXT)
    assert relative_error(got, attend(BLOCK["attn2"], TOKENS, TEXT, heads)) < 1e-6


def test_feed_forward() -> None:
    got = apply(FeedForward(jnp.float32), BLOCK["ff"], x=TOKENS)
    assert relative_error(got, feed_forward(BLOCK["ff"], TOKENS)) < 1e-6


def test_block_normalises_before_each_of_its_three_parts() -> None:
    got = apply(TransformerBlock(3, jnp.float32), BLOCK, x=TOKENS, context=TEXT)
    assert relative_error(got, block(BLOCK, TOKENS, TEXT, 3)) < 1e-6


def test_spatial_transformer_reads_pixels_row_by_row() -> None:
    x = 5 * uniform("pixels", (2, 2, 3, WIDTH))
    params = random_params(
        {"norm": NORM, "proj_in": dense(WIDTH, WIDTH), "proj_out": dense(WIDTH, WIDTH)}
    ) | {"transformer_blocks_0": BLOCK, "transformer_blocks_1": BLOCK}
    got = apply(SpatialTransformer(2, 3, 4, jnp.float32), params, x=x, context=TEXT)
    groups = x.astype(np.float64).reshape(2, 6, 4, 3)
    centred = groups - groups.mean((1, 3), keepdims=True)
    h = (centred / np.sqrt(groups.var((1, 3), keepdims=True) + 1e-6)).reshape(2, 6, WIDTH)
    h = linear(params["proj_in"], h * params["norm"]["scale"] + params["norm"]["bias"])
    for _ in range(2):
        h = block(BLOCK, h, TEXT, 3)
    assert relative_error(got, x + linear(params["proj_out"], h).reshape(x.shape)) < 1e-6
