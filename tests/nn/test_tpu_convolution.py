"""The convolution kernel for TPUs, interpreted on a CPU, beside XLA's convolution."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType

from jaxsd.nn import tpu_blocks, tpu_convolution, tpu_convolution_kernel
from jaxsd.nn.convolution import convolution
from jaxsd.nn.processor import traced_for
from jaxsd.nn.tpu_blocks import block_of_rows, convolves
from jaxsd.nn.tpu_convolution import plain_convolution
from jaxsd.nn.tpu_convolution_kernel import kernel_convolution


def inputs(shape: tuple[int, ...], outputs: int, dtype: str = "float32") -> list[jax.Array]:
    """A map and a kernel whose results have about unit variance."""
    one, other = jax.random.split(jax.random.key(3))
    kernel = jax.random.normal(other, (3, 3, shape[-1], outputs)) / (9 * shape[-1]) ** 0.5
    return [jax.random.normal(one, shape, dtype), kernel.astype(dtype)]


@pytest.mark.parametrize(
    ("shape", "outputs", "taps", "room", "pushes"),
    [
        ((2, 8, 8, 24), 40, 2**19, 2**20, 2**12),  # a map at once
        ((2, 6, 16, 24), 40, 2**19, 2**20, 40),  # rows of a block in turn
        ((2, 6, 16, 24), 40, 2**19, 120_000, 40),  # blocks in turn
        ((1, 4, 16, 8), 144, 1, 2**20, 2**12),  # output channels in turn, of which 16 are left
    ],
)
def test_it_is_a_convolution(
    shape: tuple[int, ...],
    outputs: int,
    taps: int,
    room: int,
    pushes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = {"TAPS": taps, "ROOM": room, "PUSHES": pushes}
    for name, limit in limits.items():
        monkeypatch.setattr(tpu_blocks, name, limit)
    x, kernel = inputs(shape, outputs)
    found = kernel_convolution(x, kernel, interpret=True)
    np.testing.assert_allclose(found, plain_convolution(x, kernel), atol=4e-6)


def test_in_bfloat16_it_rounds_once() -> None:
    x, kernel = inputs((1, 4, 16, 256), 128, "bfloat16")
    found = kernel_convolution(x, kernel, interpret=True)
    exact = plain_convolution(x.astype(jnp.float32), kernel.astype(jnp.float32))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), exact, rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize(
    ("width", "channels", "outputs"),
    [
        (8, 2560, 1280),
        (64, 320, 320),
        (64, 960, 320),
        (32, 1920, 640),
        (16, 2560, 1280),
        (64, 4, 320),
        (512, 3, 128),
        (96, 320, 320),
        (128, 960, 320),
        (1024, 256, 128),
    ],
)
def test_maps_of_the_models_lie_in_blocks(width: int, channels: int, outputs: int) -> None:
    assert convolves((2, width, width, channels), outputs, jnp.dtype("bfloat16"))
    rows = block_of_rows(width, width, channels, outputs)
    assert rows >= 4
    assert width % rows == 0


@pytest.mark.parametrize(
    ("shape", "outputs", "dtype"),
    [
        ((1, 16, 16, 128), 128, "float32"),
        ((1, 64, 24, 1280), 1280, "bfloat16"),
        ((1, 61, 32, 1280), 1280, "bfloat16"),
        ((1, 16, 16, 128), 4, "bfloat16"),
        ((1, 16, 4096, 512), 512, "bfloat16"),
    ],
)
def test_other_convolutions_stay_with_xla(shape: tuple[int, ...], outputs: int, dtype: str) -> None:
    assert not convolves(shape, outputs, jnp.dtype(dtype))


def lowered(platform: str, derived: bool = False) -> str:
    """The program of a layer for a platform, or that of its gradient."""
    layer = convolution(128, "conv", jnp.bfloat16)
    x = jax.ShapeDtypeStruct((2, 16, 16, 128), "bfloat16")
    params = jax.eval_shape(layer.init, jax.random.key(0), x)

    def loss(params: dict, x: jax.Array) -> jax.Array:
        return layer.apply(params, x).sum().astype(jnp.float32)

    with traced_for(platform):
        traced = jax.jit(jax.grad(loss) if derived else layer.apply).trace(params, x)
        return traced.lower(lowering_platforms=(platform,)).as_text()


def test_a_tpu_runs_the_kernel_without_pads() -> None:
    program = lowered("tpu")
    assert re.findall(r"custom_call @([\w$.]+)", program) == ["tpu_custom_call"]
    assert "stablehlo.convolution" not in program
    assert "stablehlo.pad" not in program


def test_derivatives_and_other_platforms_have_xlas() -> None:
    assert "tpu_custom_call" not in lowered("tpu", derived=True)
    assert lowered("cuda").count("stablehlo.convolution") == 1


def test_the_derivative_is_the_convolutions() -> None:
    x, kernel = inputs((1, 4, 16, 8), 8)
    found = jax.grad(lambda *args: jnp.sin(tpu_convolution.tpu_convolution(*args)).sum(), (0, 1))
    expected = jax.grad(lambda *args: jnp.sin(plain_convolution(*args)).sum(), (0, 1))
    for one, other in zip(found(x, kernel), expected(x, kernel), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_devices_share_images_and_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def form(x: jax.Array, kernel: jax.Array, *, interpret: bool = False) -> jax.Array:
        seen.append((x.shape, kernel.shape))
        return plain_convolution(x, kernel)

    monkeypatch.setattr(tpu_convolution_kernel, "kernel_convolution", form)
    x = jax.ShapeDtypeStruct((4, 16, 16, 128), "bfloat16")
    kernel = jax.ShapeDtypeStruct((3, 3, 128, 256), "bfloat16")
    mesh = AbstractMesh((2, 2), ("data", "tensor"), axis_types=(AxisType.Auto,) * 2)
    with jax.sharding.use_abstract_mesh(mesh):
        out = jax.eval_shape(tpu_convolution.tpu_convolution, x, kernel)
    assert seen == [((2, 16, 16, 128), (3, 3, 128, 128))]
    assert out.shape == (4, 16, 16, 256)
