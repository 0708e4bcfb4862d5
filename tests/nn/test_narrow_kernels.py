"""Kernels of 8 and 16 bits in convolutions of few pixels, a part of their channels at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsd.nn import narrow
from jaxsd.nn.convolution import convolution
from jaxsd.nn.int8 import to_int8
from jaxsd.nn.narrow import PART, part_channels

RNG = np.random.default_rng(0)


def kernel(kind, *shape):
    own = RNG.normal(size=shape).astype(np.float16)
    return jax.tree.map(jnp.asarray, to_int8(own) if kind == "int8" else own)


def compiled(packed, side):
    *_, inputs, outputs = packed.shape
    layer = convolution(outputs, "own", jnp.float32)
    x, bias = RNG.normal(size=(2, side, side, inputs)).astype(np.float32), jnp.ones(outputs)

    def run(packed, x):
        return layer.apply({"params": {"kernel": packed, "bias": bias}}, x)

    program = jax.jit(run).lower(packed, x).compile()
    return program, x


@pytest.mark.parametrize("kind", ["int8", "float16"])
def test_parts_give_what_the_whole_gives_and_take_less_memory(monkeypatch, kind):
    packed = kernel(kind, 3, 3, 320, 256)
    whole, x = compiled(packed, 4)
    monkeypatch.setattr(narrow, "PART", 3 * 3 * 320 * 32)
    parts, _ = compiled(packed, 4)
    made = [np.asarray(program(packed, x)) for program in (whole, parts)]
    # Sums of 2,880 products, in float32 and maybe in another order.
    np.testing.assert_allclose(*made, atol=1e-5 * np.abs(made[0]).max())
    taken = [program.memory_analysis().temp_size_in_bytes for program in (whole, parts)]
    widened = 4 * np.prod(packed.shape)
    assert taken[1] < 0.3 * widened < widened <= taken[0]


@pytest.mark.parametrize(
    ("shape", "channels"),
    [((3, 3, 2560, 1280), 160), ((3, 3, 1280, 1280), 320), ((3, 3, 640, 640), 640)],
)
def test_a_part_is_a_divisor_of_the_channels_that_fits(shape, channels):
    assert part_channels(shape) == channels
    assert np.prod(shape[:-1]) * channels <= PART
    assert part_channels((3, 3, PART, 7)) == 1
