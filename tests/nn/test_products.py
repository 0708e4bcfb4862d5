"""Layers that have their input in common, joined to one product as for GPUs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from tiny_models import TINY, abstract_unet, random_params, unet_inputs

from jaxsd.models.openings import projected_by
from jaxsd.models.unet import OF_SELF, OF_TEXT, OF_TIME, UNet
from jaxsd.nn import products
from jaxsd.nn.int8 import to_int8
from jaxsd.nn.processor import multiplies_bfloat16, platform_traced_for, traced_for
from jaxsd.nn.products import JOINED, joined, shared
from jaxsd.nn.transformer import Attention
from jaxsd.types import Array, Params

RNG = np.random.default_rng(0)
X, TIME, TEXT = (RNG.normal(size=size) for size in [(1, 2, 2, 8), (1, 6), (1, 3, 5)])
SHAPES = {
    "time_emb_proj": (6, 8),
    "attn2/to_q": (8, 8),
    "attn2/to_k": (5, 8),
    "attn2/to_v": (5, 8),
    "attn2/to_out_0": (8, 8),
}


class Block(nn.Module):
    """A dense layer of the time, and attention to the text."""

    @nn.compact
    def __call__(self, x: Array, time: Array, context: Array) -> Array:
        path = (*self.path, "time_emb_proj")
        x = x + products.projected(time, path, 8, jnp.bfloat16)[:, None, None]
        tokens = x.reshape(1, 4, 8)
        return x + Attention(2, jnp.bfloat16, name="attn2")(tokens, context).reshape(x.shape)


class Blocks(nn.Module):
    """Two of them."""

    @nn.compact
    def __call__(self, x: Array, time: Array, context: Array) -> Array:
        time, context = shared(self, time, OF_TIME), shared(self, context, OF_TEXT)
        return Block(name="second")(Block(name="first")(x, time, context), time, context)


def params() -> Params:
    flat = {}
    for block in ("first", "second"):
        for name, shape in SHAPES.items():
            flat[f"{block}/{name}/kernel"] = jnp.asarray(RNG.normal(size=shape), jnp.bfloat16)
            if name not in ("attn2/to_q", "attn2/to_k", "attn2/to_v"):
                bias = jnp.asarray(RNG.normal(size=shape[1:]), jnp.bfloat16)
                flat[f"{block}/{name}/bias"] = bias
    return unflatten_dict(flat, sep="/")


PARAMS = params()


def of_cuda(params: Params, dtype: jnp.dtype = jnp.bfloat16) -> dict:
    with traced_for("cuda"):
        return joined(params, (OF_TIME, OF_TEXT), dtype)


def test_layers_give_what_they_give_by_single_products() -> None:
    told = [jnp.asarray(one, jnp.bfloat16) for one in (X, TIME, TEXT)]
    run = jax.jit(Blocks().apply)
    beside = of_cuda(PARAMS)
    want = run({"params": PARAMS}, *told).astype(jnp.float32)
    got = run({"params": PARAMS, **beside}, *told)
    largest = float(jnp.abs(want).max())
    # Products of bfloat16 round at the end, and only once.
    np.testing.assert_allclose(got.astype(jnp.float32), want, rtol=0, atol=2e-2 * largest)
    for pattern in (OF_TIME, OF_TEXT):
        other = {**beside[JOINED], pattern: -beside[JOINED][pattern]}
        wrong = run({"params": PARAMS, JOINED: other}, *told)
        assert float(jnp.abs(wrong.astype(jnp.float32) - want).max()) > 0.2 * largest


def test_joined_layers_do_not_run() -> None:
    def products_in(variables: dict) -> int:
        return str(jax.make_jaxpr(Blocks().apply)(variables, *told)).count("dot_general[")

    told = [jax.ShapeDtypeStruct(one.shape, jnp.bfloat16) for one in (X, TIME, TEXT)]
    single = products_in({"params": PARAMS})
    assert products_in({"params": PARAMS, **of_cuda(PARAMS)}) == single - 6 + 2


def test_the_kernels_of_a_pattern_are_joined_in_the_order_of_paths() -> None:
    kernels = [
        flatten_dict(PARAMS, sep="/")[f"{block}/attn2/{name}/kernel"]
        for block in ("first", "second")
        for name in ("to_k", "to_v")
    ]
    np.testing.assert_array_equal(of_cuda(PARAMS)[JOINED][OF_TEXT], jnp.concatenate(kernels, 1))


def test_what_stays_single(monkeypatch: pytest.MonkeyPatch) -> None:
    assert joined(PARAMS, (OF_TIME, OF_TEXT), jnp.bfloat16) == {}  # on a CPU
    assert of_cuda(PARAMS, jnp.float32) == {}
    assert of_cuda(jax.tree.map(lambda a: a.astype(jnp.float32), PARAMS)) == {}
    assert of_cuda(jax.tree.map(lambda a: to_int8(np.asarray(a)), PARAMS)) == {}
    monkeypatch.setattr(products, "COPIED", of_cuda(PARAMS)[JOINED][OF_TEXT].nbytes - 1)
    assert list(of_cuda(PARAMS)[JOINED]) == [OF_TIME]


def test_programs_for_other_devices_do_not_depend_on_this_processor() -> None:
    assert platform_traced_for() == "cpu"
    with traced_for("cuda"):
        assert platform_traced_for() == "cuda"
        assert not multiplies_bfloat16()
    assert platform_traced_for() == "cpu"


def test_self_attention_by_one_product_is_that_by_three(monkeypatch: pytest.MonkeyPatch) -> None:
    attention, x = Attention(2, jnp.bfloat16), jnp.asarray(RNG.normal(size=(2, 3, 8)), jnp.bfloat16)
    names = ("to_q", "to_k", "to_v", "to_out_0")
    layers = {name: {"kernel": jnp.bfloat16(RNG.normal(size=(8, 8)))} for name in names}
    layers["to_out_0"]["bias"] = jnp.zeros(8, jnp.bfloat16)
    with traced_for("cuda"):
        beside = joined({"block": {"attn1": layers}}, (OF_SELF,), jnp.bfloat16)
    variables = {"params": layers, JOINED: beside[JOINED]["block"]["attn1"]}

    def run(variables: dict) -> tuple[Array, int]:
        count = str(jax.make_jaxpr(attention.apply)(variables, x)).count("dot_general[")
        return attention.apply(variables, x).astype(jnp.float32), count

    (want, three), (got, one) = run({"params": layers}), run(variables)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-2 * float(jnp.abs(want).max()))
    assert one == three - 2
    monkeypatch.setattr(products, "FEW", 5)
    assert run(variables)[1] == three
    layers["to_k"]["kernel"] = jnp.zeros((5, 8), jnp.bfloat16)  # attention to a text
    with traced_for("cuda"):
        assert joined({"block": {"attn1": layers}}, (OF_SELF,), jnp.bfloat16) == {}


def test_tokens_are_changed_where_products_would_be_joined() -> None:
    config, seen = TINY["sd1"].unet, set()
    network = UNet(config, jnp.bfloat16)
    params = jax.tree.map(jnp.bfloat16, random_params(abstract_unet(config)))

    def change(path: tuple[str, ...], tokens: Array) -> Array:
        seen.add(path[-2:])
        return tokens

    variables = {"params": params, **of_cuda(params)}
    assert OF_TEXT in variables[JOINED]
    with projected_by(change):
        jax.eval_shape(lambda: network.apply(variables, **unet_inputs(config)))
    assert ("attn2", "to_k") in seen
