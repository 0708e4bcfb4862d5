"""Kernels of 8 bits: how near they are, and that layers, LoRAs and outlines know them."""

import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
from tiny_models import TINY, pipeline_params

from jaxsd.adapters.lora import changed_by_all, merged_kernel, merged_weights
from jaxsd.nn.convolution import convolution
from jaxsd.nn.dense import dense
from jaxsd.nn.int8 import Int8, is_int8, to_int8, widened
from jaxsd.parallel.sharing import path_name

RNG = np.random.default_rng(0)


def kernel(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def test_each_number_is_half_a_step_away_at_most():
    own = kernel(3, 3, 8, 16) * np.geomspace(1e-3, 10, 16, dtype=np.float32)
    own[..., 5] = 0
    packed = to_int8(own)
    assert packed.values.dtype == np.int8
    assert packed.scale.shape == (1, 1, 1, 16)
    error = np.abs(np.asarray(packed) - own)
    assert (error <= 0.5001 * packed.scale).all()
    assert (np.abs(packed.values).max(axis=(0, 1, 2)) == np.where(np.arange(16) == 5, 0, 127)).all()
    again = to_int8(np.asarray(packed))
    np.testing.assert_array_equal(again.values, packed.values)
    np.testing.assert_array_equal(widened(packed), np.asarray(packed))


def test_layers_widen_them():
    x = kernel(2, 4, 4, 8)
    for layer, shape in (
        (dense(16, "own", jnp.float32), (8, 16)),
        (convolution(16, "own", jnp.float32), (3, 3, 8, 16)),
    ):
        packed, bias = to_int8(kernel(*shape)), kernel(16)
        made = [
            layer.apply({"params": {"kernel": one, "bias": bias}}, x)
            for one in (packed, np.asarray(packed))
        ]
        np.testing.assert_array_equal(*made)


def test_loras_are_added_before_rounding():
    path, own = "unet/a/kernel", kernel(8, 16)
    packed = jax.tree.map(jnp.asarray, to_int8(own))
    lora = {path: {"down": kernel(8, 2), "up": kernel(2, 16), "alpha": np.float32(2)}}
    loras = [(lora, {"unet": 0.5, "text": 0.0})]
    made = merged_kernel(path, packed, loras)
    assert isinstance(made, Int8)
    truth = changed_by_all(np.asarray(packed), [(lora[path], np.float32(0.5))])
    assert (np.abs(np.asarray(made) - truth) <= 0.5001 * np.asarray(made.scale)).all()
    assert merged_kernel("unet/b/kernel", packed, loras) is packed
    tree = {"unet": {"a": {"kernel": packed}}}
    whole = merged_weights(tree, loras)["unet"]["a"]["kernel"]
    np.testing.assert_array_equal(whole.values, made.values)
    shapes = jax.eval_shape(lambda: tree)
    assert merged_weights(shapes, loras) == shapes


def test_which_parameters_become_so():
    params = pipeline_params(TINY["sd1"])
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    names = {path_name(path): leaf.shape for path, leaf in leaves}
    chosen = {name for name, shape in names.items() if is_int8(name, shape)}
    assert chosen
    assert all(name.startswith("unet/") and name.endswith("/kernel") for name in chosen)
    assert not is_int8("unet/conv_in/kernel", (3, 3, 4, 320))
    assert not is_int8("vae/decoder/conv_in/kernel", (3, 3, 512, 512))
    assert not is_int8("text/0/token_embedding/embedding", (49408, 768))
    assert is_int8("text/1/layers/0/mlp/fc1/kernel", (1280, 5120))


def test_rounding_takes_little_memory_beside_the_kernel():
    own = RNG.integers(-99, 100, (2048, 4096), np.int8).astype(np.float16)
    tracemalloc.start()
    to_int8(own)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert own.size <= most < 2 * own.nbytes  # whole, float32 alone is 2 * nbytes
