"""Convolutions (NHWC, HWIO) and the two resolution changes built on them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxsd.nn.cpu_convolution import convolution_of_doubled, fast_form
from jaxsd.nn.dense import dot_general, in_dtype
from jaxsd.nn.layers import Conv, ShapeChecked
from jaxsd.nn.narrow import in_parts, kernel_as_stored
from jaxsd.nn.processor import platform_traced_for
from jaxsd.nn.tpu_blocks import convolves
from jaxsd.nn.tpu_convolution import tpu_convolution
from jaxsd.types import Array

Padding = Sequence[tuple[int, int]]
Initializer = Callable[..., Array]
Form = Callable[..., Array]
EVEN = (0, 0)
"""What `enlarged` takes where both sides are doubled."""
SMALL = nn.initializers.variance_scaling(0.1, "fan_in", "truncated_normal")
"""Keeps a residual branch small at the start of training without cutting its gradient."""


class Pointwise(ShapeChecked, nn.Module):
    """A 1x1 convolution as a matrix product: faster on every backend, above all for gradients.

    The kernel keeps the shape [1, 1, in, out] of a convolution, as in files.
    """

    channels: int
    dtype: jnp.dtype
    kernel_init: Initializer = nn.linear.default_kernel_init

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, c] -> [B, h, w, channels]."""
        shape = (1, 1, x.shape[-1], self.channels)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        x, kernel, bias = in_dtype(x, kernel, bias, dtype=self.dtype)
        return dot_general(x, kernel[0, 0], (((3,), (0,)), ((), ()))) + bias[None, None, None]


def convolution(
    channels: int,
    name: str,
    dtype: jnp.dtype,
    *,
    stride: int = 1,
    padding: tuple[int, int] = (1, 1),
    use_bias: bool = True,
    kernel_init: Initializer = nn.linear.default_kernel_init,
    form: Form | None = None,
) -> Conv:
    """A 3x3 convolution, padded with zeros.

    Args:
      channels: channels of the result.
      name: name of its parameters.
      dtype: dtype to compute in.
      stride: stride along both sides.
      padding: (before, after), per side.
      use_bias: whether a bias is added to each channel.
      kernel_init: initializer of its kernel.
      form: function that computes the result from input and kernel; None for their convolution.
    """
    return Conv(
        channels,
        (3, 3),
        strides=(stride, stride),
        padding=(padding, padding),
        use_bias=use_bias,
        dtype=dtype,
        kernel_init=kernel_init,
        conv_general_dilated=partial(in_parts, form or _convolve),
        promote_dtype=kernel_as_stored,
        name=name,
    )


def _convolve(
    x: Array, kernel: Array, strides: Sequence[int], padding: Padding, **layout: Any
) -> Array:
    """`jax.lax.conv_general_dilated`, in another form on CPUs and TPUs where that is faster."""

    def direct(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(x, kernel, strides, padding, **layout)

    if (x.shape[2], *padding) == (1, (1, 1), (1, 1)):  # a series: there are zeros on both sides
        middle, along = kernel[:, 1:2], ((1, 1), (0, 0))
        return jax.lax.conv_general_dilated(x, middle, (strides[0], 1), along, **layout)
    if (*strides, *padding) != (1, 1, (1, 1), (1, 1)):
        return direct(x, kernel)
    if platform_traced_for() == "tpu" and convolves(x.shape, kernel.shape[-1], x.dtype):
        return tpu_convolution(x, kernel)
    fast = fast_form(x.shape, kernel.shape[-1], x.dtype)
    if fast is None:
        return direct(x, kernel)
    return jax.lax.platform_dependent(x, kernel, cpu=fast, default=direct)


class Downsample(nn.Module):
    """Halves height and width by a strided convolution.

    Attributes:
      padding: rows (before, after) of zeros. The U-Net pads both sides, the VAE the end only.
    """

    channels: int
    padding: tuple[int, int]
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, c] -> [B, h/2, w/2, channels], rounded up in the U-Net."""
        return convolution(self.channels, "conv", self.dtype, stride=2, padding=self.padding)(x)


class Upsample(nn.Module):
    """Repeats pixels up to the given size, then convolves (torch's "nearest")."""

    channels: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, size: tuple[int, int]) -> Array:
        """[B, h, w, c] -> [B, *size, channels]; `size` is 2h x 2w, or one less where a skip
        connection had an odd side, or any where a feature made maps smaller in between.
        """
        odd = (2 * x.shape[1] - size[0], 2 * x.shape[2] - size[1])
        if not {*odd} <= {0, 1}:
            sides = zip(x.shape[1:3], size, strict=True)
            rows, columns = (np.arange(new) * old // new for old, new in sides)
            x = x[:, rows][:, :, columns]
            return convolution(self.channels, "conv", self.dtype)(x)
        return convolution(self.channels, "conv", self.dtype, form=partial(enlarged, odd))(x)


def enlarged(odd: tuple[int, int], x: Array, kernel: Array, *rest: Any, **layout: Any) -> Array:
    """A `form` of `convolution` that first repeats the pixels of `x`.

    `odd` is 1 for a side whose last pixel stays alone, else 0.
    """

    def direct(x: Array, kernel: Array) -> Array:
        height, width = (2 * x.shape[1 + i] - odd[i] for i in range(2))
        x = x.repeat(2, axis=1)[:, :height].repeat(2, axis=2)[:, :, :width]
        return _convolve(x, kernel, *rest, **layout)

    if odd != EVEN:
        return direct(x, kernel)
    return jax.lax.platform_dependent(x, kernel, cpu=convolution_of_doubled, default=direct)
