"""Counts of operations against counts by hand, and against published totals."""

import jax
import jax.numpy as jnp
import pytest

from jaxsd.benchmark.flops import count_flops
from jaxsd.benchmark.jobs import Job
from jaxsd.benchmark.networks import work
from jaxsd.nn.attention import attention


def shape(*sides: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(sides, jnp.float32)


def test_a_product():
    assert count_flops(jnp.matmul, shape(2, 3, 5), shape(5, 7)) == 2 * 2 * 3 * 5 * 7


def test_a_convolution_of_stride_2():
    layout = ("NHWC", "HWIO", "NHWC")

    def convolve(x, k):
        return jax.lax.conv_general_dilated(x, k, (2, 2), "SAME", dimension_numbers=layout)

    assert count_flops(convolve, shape(1, 8, 6, 3), shape(3, 3, 3, 5)) == 2 * 4 * 3 * 5 * 27


@pytest.mark.parametrize("keys", [77, 1024, 16384])
def test_attention_counts_both_products_whatever_its_form(keys):
    q, k = shape(1, 2048, 2, 8), shape(1, keys, 2, 8)
    assert count_flops(attention, q, k, k) == 2 * 2 * 2 * 8 * 2048 * keys


def test_a_loop_counts_as_often_as_it_runs():
    def loop(x):
        return jax.lax.scan(lambda x, _: (x @ x, None), x, length=5)[0]

    assert count_flops(jax.jit(loop), shape(4, 4)) == 5 * 2 * 4**3


# Billions of multiply-adds of one image: by hand, from the layers' shapes. Published totals of the
# U-Nets leave attention's own products out: 338.6 and 2989.
TOTALS = [
    pytest.param("sd15", "unet", 512, 401.6, marks=pytest.mark.slow),
    pytest.param("sd21", "unet", 768, 1074.6, marks=pytest.mark.release),
    pytest.param("sdxl", "unet", 1024, 3381, marks=pytest.mark.release),
    ("sd15", "vae", 512, 1257),
    pytest.param("sd15", "vae", 1024, 5235, marks=pytest.mark.release),
    ("sd15", "text", 512, 6.65),
]


@pytest.mark.parametrize(("model", "part", "size", "billions"), TOTALS)
def test_totals(model, part, size, billions):
    function, shapes = work(Job(model, part, "float32", 1, size, 1))
    images = 1 if part == "vae" else 2  # with and without the text
    got = count_flops(function, *shapes) / 2e9 / images
    assert got == pytest.approx(billions, rel=1e-3)
