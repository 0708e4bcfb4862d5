"""Convolutions as products against XLA's own, for every form that shape and dtype may choose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from tiny_models import relative_error, uniform

from jaxsd.nn import cpu_convolution, dense
from jaxsd.nn.convolution import convolution
from jaxsd.nn.cpu_convolution import (
    convolution_as_products,
    convolution_of_doubled,
    fast_form,
)
from jaxsd.nn.winograd import winograd
from jaxsd.nn.winograd_rows import winograd_of_rows
from jaxsd.types import Array

SIZE = (4, 6)


@pytest.fixture(params=[True, False])
def multiplies_bfloat16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    for module in (cpu_convolution, dense):
        monkeypatch.setattr(module, "multiplies_bfloat16", lambda: request.param)
    jax.clear_caches()  # what was traced for another processor
    return request.param


@pytest.fixture(params=[True, False])
def cut(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether maps are computed row by row."""
    monkeypatch.setattr(cpu_convolution, "BAND", 0 if request.param else cpu_convolution.BAND)
    jax.clear_caches()
    return request.param


def direct(x: Array, kernel: Array) -> Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


def inputs(size: tuple[int, int], dtype: str = "float32") -> tuple[Array, Array]:
    x, kernel = uniform("x", (2, *size, 5)), uniform("kernel", (3, 3, 5, 7))
    return jnp.asarray(x, dtype), jnp.asarray(kernel, dtype)


def test_products_equal_the_convolution(cut):
    x, kernel = inputs(SIZE)
    lowered = jax.jit(convolution_as_products).lower(x, kernel)
    assert ("stablehlo.while" in lowered.as_text()) == cut
    got = lowered.compile()(x, kernel)
    assert relative_error(got, direct(x, kernel)) < 1e-6


def test_bfloat16_adds_up_in_float32(multiplies_bfloat16):
    x, kernel = inputs(SIZE, "bfloat16")
    got = jax.jit(lambda *args: convolution_as_products(*args))(x, kernel)
    assert got.dtype == jnp.bfloat16
    want = direct(x.astype(jnp.float32), kernel.astype(jnp.float32))
    assert relative_error(np.float32(got), want) < 2**-8  # one rounding of the result


def doubled(x: Array, kernel: Array) -> Array:
    return direct(x.repeat(2, axis=1).repeat(2, axis=2), kernel)


def test_a_convolution_of_doubled_pixels_is_one_of_them():
    x, kernel = inputs(SIZE)
    got = jax.jit(convolution_of_doubled)(x, kernel)
    assert got.shape == (2, 8, 12, 7)
    assert relative_error(got, doubled(x, kernel)) < 1e-6


def test_a_convolution_of_doubled_pixels_in_bfloat16(multiplies_bfloat16, cut):
    x, kernel = inputs(SIZE, "bfloat16")
    got = jax.jit(lambda *args: convolution_of_doubled(*args))(x, kernel)
    assert got.dtype == jnp.bfloat16
    want = doubled(x.astype(jnp.float32), kernel.astype(jnp.float32))
    assert relative_error(np.float32(got), want) < 2**-7  # sums of taps are rounded too


def test_both_modes_of_the_derivative():
    check_grads(jax.jit(convolution_as_products), inputs(SIZE), order=1, modes=["fwd", "rev"])


def test_the_gradient_passes_the_bits_of_bfloat16():
    x, kernel = inputs(SIZE, "bfloat16")

    def loss(form):
        return jax.grad(lambda *args: jnp.sin(form(*args).astype(jnp.float32)).sum(), (0, 1))

    got, want = loss(convolution_as_products)(x, kernel), loss(direct)(x, kernel)
    for one, other in zip(got, want, strict=True):
        assert relative_error(np.float32(one), np.float32(other)) < 2**-5  # sums of roundings


def test_forms_by_pixels_and_channels(monkeypatch):
    monkeypatch.setattr(cpu_convolution, "has_avx512", lambda: False)
    assert fast_form((2, 8, 8, 640), 640, jnp.float32) is convolution_as_products
    assert fast_form((2, 8, 8, 128), 128, jnp.float32) is None
    assert fast_form((2, 32, 32, 640), 640, jnp.float32) is winograd
    assert fast_form((1, 128, 128, 64), 64, jnp.float32) is None
    assert fast_form((2, 128, 128, 64), 64, jnp.float32) is winograd
    assert fast_form((1, 64, 64, 4), 320, jnp.float32) is None
    assert fast_form((1, 512, 512, 128), 3, jnp.float32) is None


def test_few_channels_are_left_to_xla_where_vectors_are_wide(monkeypatch):
    monkeypatch.setattr(cpu_convolution, "has_avx512", lambda: True)
    assert fast_form((1, 512, 512, 128), 128, jnp.float32) is None
    assert fast_form((1, 256, 256, 256), 256, jnp.float32) is winograd


def test_bfloat16_is_multiplied_where_that_is_fast(multiplies_bfloat16):
    fast = winograd_of_rows if multiplies_bfloat16 else winograd
    assert fast_form((2, 16, 16, 1280), 1280, jnp.bfloat16) is (
        convolution_as_products if multiplies_bfloat16 else winograd
    )
    assert fast_form((2, 64, 64, 320), 320, jnp.bfloat16) is fast
    assert fast_form((1, 256, 256, 256), 256, jnp.bfloat16) is fast
    assert fast_form((1, 512, 512, 128), 3, jnp.bfloat16) is None


@pytest.mark.parametrize("size", [(4, 4), (64, 64)])
def test_a_layer_chooses_on_the_cpu_alone(size):
    layer = convolution(256, None, jnp.float32)
    x = jnp.zeros((1, *size, cpu_convolution.PRODUCT_MIN_CHANNELS))
    params = jax.eval_shape(layer.init, jax.random.key(0), x)
    run = jax.jit(layer.apply).trace(params, x)
    assert "stablehlo.convolution" not in run.lower(lowering_platforms=("cpu",)).as_text()
    assert "stablehlo.convolution" in run.lower(lowering_platforms=("cuda",)).as_text()
