"""Parameters of 16 bits: widened when they are used, and not all at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxsd.executables import compiler_options
from jaxsd.nn.convolution import Pointwise, convolution
from jaxsd.nn.dense import dense
from jaxsd.types import Array

LAYERS, WIDTH = 8, 64


class Stack(nn.Module):
    """Layers of one kind, run three times over in a loop."""

    kind: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for i in range(LAYERS):
            name = f"layer_{i}"
            if self.kind == "pointwise":
                x = Pointwise(WIDTH, jnp.float32, name=name)(x)
            else:
                make = dense if self.kind == "dense" else convolution
                x = make(WIDTH, name, jnp.float32)(x)
            x = jnp.sin(x)
        return x


@pytest.mark.parametrize("kind", ["dense", "convolution", "pointwise"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_loop_holds_few_wide_kernels(kind: str, dtype: str) -> None:
    network, x = Stack(kind), np.ones((1, 4, 4, WIDTH), np.float32)
    params = network.init(jax.random.key(0), x)["params"]
    narrow = jax.tree.map(lambda leaf: leaf.astype(dtype), params)

    @jax.jit
    def loop(params: dict, x: Array) -> Array:
        def step(x: Array, _: None) -> tuple[Array, None]:
            return network.apply({"params": params}, x), None

        return jax.lax.scan(step, x, length=3)[0]

    compiled = loop.lower(narrow, x).compile(compiler_options())
    kernels = sum(leaf.size * 4 for leaf in jax.tree.leaves(narrow) if leaf.ndim > 1)
    assert compiled.memory_analysis().temp_size_in_bytes < kernels / 2
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), narrow)
    np.testing.assert_allclose(compiled(narrow, x), loop(wide, x), rtol=1e-5, atol=1e-5)


def test_wide_parameters_are_left_alone() -> None:
    network, x = Stack("dense"), np.ones((1, 4, 4, WIDTH), np.float32)
    params = network.init(jax.random.key(0), x)["params"]
    lowered = jax.jit(network.apply).lower({"params": params}, x)
    assert "optimization_barrier" not in lowered.as_text()
