"""Winograd's convolutions: the convolution itself, in fewer products."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import relative_error, uniform

from jaxsd.executables import compiler_options
from jaxsd.nn import dense, winograd_rows
from jaxsd.nn import winograd as module
from jaxsd.nn.winograd import INPUT, KERNEL, OUTPUT, winograd, winograd_of_doubled
from jaxsd.nn.winograd_rows import winograd_of_rows
from jaxsd.types import Array


def in_float64(x: Array, kernel: Array) -> np.ndarray:
    """The definition."""
    x, (_, height, width, _) = np.pad(np.float64(x), ((0, 0), (1, 1), (1, 1), (0, 0))), x.shape
    taps = [(i, j) for i in range(3) for j in range(3)]
    return sum(x[:, i : i + height, j : j + width] @ np.float64(kernel[i, j]) for i, j in taps)


def direct(x: Array, kernel: Array) -> Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


def doubled(x: Array) -> Array:
    return x.repeat(2, axis=1).repeat(2, axis=2)


FORMS = [
    (winograd, direct, in_float64),
    (winograd_of_rows, direct, in_float64),
    (
        winograd_of_doubled,
        lambda x, kernel: direct(doubled(x), kernel),
        lambda x, kernel: in_float64(doubled(x), kernel),
    ),
]


def inputs(height: int, width: int, channels: int = 5) -> tuple[Array, Array]:
    x, kernel = uniform("x", (2, height, width, channels)), uniform("k", (3, 3, channels, 7))
    return jnp.asarray(x), jnp.asarray(kernel)


def test_the_matrices_give_two_outputs_of_a_filter_of_three_taps():
    d, g = uniform("d", (4,)), uniform("g", (3,))
    want = [d[0:3] @ g, d[1:4] @ g]
    products = (np.array(INPUT) @ d) * (np.array(KERNEL) @ g)
    np.testing.assert_allclose(np.array(OUTPUT) @ products, want, rtol=1e-5)


@pytest.mark.parametrize(("form", "_", "defined"), FORMS)
@pytest.mark.parametrize("size", [(6, 4), (7, 4), (6, 5), (1, 1)])
@pytest.mark.parametrize("cut", [False, True])
def test_forms_equal_their_definition(form, _, defined, size, cut, monkeypatch):
    for own in (module, winograd_rows):
        monkeypatch.setattr(own, "BAND", 0 if cut else own.BAND)
    jax.clear_caches()
    x, kernel = inputs(*size)
    lowered = jax.jit(form).lower(x, kernel)
    assert ("stablehlo.while" in lowered.as_text()) == cut
    assert relative_error(lowered.compile()(x, kernel), defined(x, kernel)) < 1e-6
    jax.clear_caches()


@pytest.mark.parametrize(
    ("form", "products"), [(winograd, 16 / 4), (winograd_of_rows, 12 / 2), (winograd_of_doubled, 9)]
)
def test_products_for_a_pixel_of_the_input(form, products):
    """Where a convolution has 9 and 36."""
    x, kernel = inputs(16, 16, 64)
    cost = jax.jit(form).lower(x, kernel).compile().cost_analysis()
    dots = 2 * products * x.size * kernel.shape[-1]
    assert dots <= cost["flops"] < 1.5 * dots


@pytest.mark.parametrize(("form", "direct", "defined"), FORMS)
def test_it_is_as_exact_as_a_convolution(form, direct, defined):
    x, kernel = inputs(16, 16, 640)
    want = defined(x, kernel)
    error = relative_error(form(x, kernel), want)
    assert error < 2 * relative_error(direct(x, kernel), want) < 1e-5


@pytest.mark.parametrize(("form", "_", "defined"), [FORMS[0], FORMS[2]])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sums_of_16_bits_are_made_in_float32(form, _, defined, dtype):
    x, kernel = (a.astype(dtype) for a in inputs(6, 4))
    got = jax.jit(form)(x, kernel)
    assert got.dtype == dtype
    assert relative_error(np.float32(got), defined(x, kernel)) < jnp.finfo(dtype).eps


@pytest.mark.parametrize(("form", "direct", "_"), FORMS)
@pytest.mark.parametrize("size", [(4, 6), (5, 3)])
def test_both_modes_of_the_derivative(form, direct, _, size):
    at, along = inputs(*size), (uniform("dx", (2, *size, 5)), uniform("dk", (3, 3, 5, 7)))
    (_, got), (y, want) = jax.jvp(form, at, along), jax.jvp(direct, at, along)
    assert relative_error(got, want) < 1e-5
    back = uniform("back", y.shape)
    pairs = zip(jax.vjp(form, *at)[1](back), jax.vjp(direct, *at)[1](back), strict=True)
    assert all(relative_error(one, other) < 1e-5 for one, other in pairs)


@pytest.mark.parametrize("multiplies", [True, False])
def test_rows_of_bfloat16_are_rounded_twice(multiplies, monkeypatch):
    monkeypatch.setattr(dense, "multiplies_bfloat16", lambda: multiplies)
    jax.clear_caches()
    x, kernel = (a.astype("bfloat16") for a in inputs(16, 16, 64))
    got, want = jax.jit(lambda *args: winograd_of_rows(*args))(x, kernel), in_float64(x, kernel)
    assert got.dtype == jnp.bfloat16
    distance = np.sqrt(np.mean((np.float64(got) - want) ** 2)) / want.std()
    assert 0.002 < distance < 0.004  # 0.0017 if rounded once
    jax.clear_caches()


def test_the_gradient_of_rows_passes_the_bits_of_bfloat16():
    x, kernel = (a.astype("bfloat16") for a in inputs(18, 20))

    def loss(form):
        return jax.grad(lambda *args: jnp.sin(form(*args).astype(jnp.float32)).sum(), (0, 1))

    got, want = loss(winograd_of_rows)(x, kernel), loss(direct)(x, kernel)
    for one, other in zip(got, want, strict=True):
        assert relative_error(np.float32(one), np.float32(other)) < 2**-5  # sums of roundings


@pytest.mark.parametrize("form", [winograd, winograd_of_rows])
def test_a_gradient_keeps_the_input_and_not_its_sums(form):
    x, kernel = inputs(16, 16, 64)
    _, pullback = jax.vjp(form, x, kernel)
    kept = sum(leaf.nbytes for leaf in jax.tree.leaves(pullback))
    assert kept <= x.nbytes + kernel.nbytes


@pytest.mark.parametrize("form", [winograd, winograd_of_rows, winograd_of_doubled])
def test_what_is_made_of_kernels_is_not_kept_through_a_loop(form):
    x, kernel = jnp.ones((1, 8, 8, 64)), jnp.ones((4, 3, 3, 64, 64))

    @jax.jit
    def loop(x: Array, kernels: Array) -> Array:
        def step(x: Array, _: None) -> tuple[Array, None]:
            for kernel in kernels:
                x = jnp.sin(form(x, kernel))[:, :8, :8]
            return x, None

        return jax.lax.scan(step, x, length=3)[0]

    held = loop.lower(x, kernel).compile(compiler_options()).memory_analysis().temp_size_in_bytes
    assert held < kernel.nbytes
