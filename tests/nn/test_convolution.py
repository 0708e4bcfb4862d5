"""Convolutions against a loop; the two changes of size and what they pad."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import apply, relative_error, uniform

from jaxsd.nn.convolution import Downsample, Upsample, convolution
from jaxsd.types import Array

PARAMS = {"kernel": uniform("kernel", (3, 3, 2, 4)), "bias": uniform("bias", (4,))}


def slide(x: Array, stride: int = 1) -> Array:
    """Every window of a padded [B, h, w, 2] times the kernel, in float64."""
    height, width = ((side - 3) // stride + 1 for side in x.shape[1:3])
    out = np.zeros((x.shape[0], height, width, 4))
    for i, j in np.ndindex(height, width):
        window = x[:, i * stride : i * stride + 3, j * stride : j * stride + 3].astype(np.float64)
        out[:, i, j] = np.einsum("bhwc,hwco->bo", window, PARAMS["kernel"]) + PARAMS["bias"]
    return out


def pad(x: Array, before: int, after: int) -> Array:
    return np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))


@pytest.mark.parametrize("width", [4, 1])
def test_convolution_pads_one_on_every_side(width: int) -> None:
    x = uniform("x", (2, 5, width, 2))
    got = apply(convolution(4, None, jnp.float32), PARAMS, inputs=x)
    assert relative_error(got, slide(pad(x, 1, 1))) < 1e-6


@pytest.mark.parametrize(
    ("size", "padding", "result"),
    [
        ((6, 8), (1, 1), (3, 4)),
        ((7, 5), (1, 1), (4, 3)),
        ((7, 1), (1, 1), (4, 1)),
        ((6, 8), (0, 1), (3, 4)),
        ((7, 5), (0, 1), (3, 2)),
    ],
)
def test_downsample(
    size: tuple[int, int], padding: tuple[int, int], result: tuple[int, int]
) -> None:
    x = uniform("x", (1, *size, 2))
    got = apply(Downsample(4, padding, jnp.float32), {"conv": PARAMS}, x=x)
    assert got.shape == (1, *result, 4)
    assert relative_error(got, slide(pad(x, *padding), stride=2)) < 1e-6


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (6, 7), (5, 8)])
def test_upsample_repeats_pixels_up_to_an_odd_side(size: tuple[int, int]) -> None:
    x = uniform("x", (1, 3, 4, 2))
    run = jax.jit(lambda x: Upsample(4, jnp.float32).apply({"params": {"conv": PARAMS}}, x, size))
    big = np.zeros((1, *size, 2), np.float32)
    for i, j in np.ndindex(size):
        big[:, i, j] = x[:, i // 2, j // 2]
    assert relative_error(run(x), slide(pad(big, 1, 1))) < 1e-6
