"""Kernels of convolutions in 8 or 16 bits, which are widened when they are used."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from jaxsd.nn.bits import mapped
from jaxsd.nn.cpu_convolution import PATCH_MAX_PIXELS
from jaxsd.nn.int8 import Int8, is_narrow, widened
from jaxsd.types import Array

PART = 2**22
"""Numbers of a kernel that a CPU widens at a time for a product of patches. The largest of SD 1.5
and XL, 2560 x 1280 x 3 x 3, takes 27 MB so and 140 whole, and 0.7 to 0.9 of the time.
"""


def kernel_as_stored(
    x: Array, kernel: Array | Int8, bias: Array | None, *, dtype: jnp.dtype
) -> list[Array | Int8 | None]:
    """Input and bias of a layer in the dtype to compute in; the kernel as it is."""
    x, bias = promote_dtype(x, bias, dtype=dtype)
    return [x, kernel, bias]


def in_parts(
    form: Callable[..., Array], x: Array, kernel: Array | Int8, *rest: Any, **layout: Any
) -> Array:
    """`form(x, kernel, *rest, **layout)`, with a kernel in the dtype of `x`.

    A narrow kernel is widened only when the input is ready, as in `in_dtype`. For few pixels, on a
    CPU, some output channels are computed at a time: other forms do not write the whole kernel.

    Args:
      form: a convolution, as `jax.lax.conv_general_dilated`.
      x: [B, h, w, c].
      kernel: [3, 3, c, channels].
      *rest: for `form`.
      **layout: for `form`.

    Returns:
      [B, h', w', channels].
    """

    def of(x: Array, kernel: Array | Int8) -> Array:
        return form(x, widened(kernel, x.dtype), *rest, **layout)

    if not is_narrow(kernel, x.dtype):
        return of(x, kernel)
    x, kernel = jax.lax.optimization_barrier((x, kernel))
    channels = part_channels(kernel.shape)
    if channels == kernel.shape[-1] or math.prod(x.shape[:-1]) > PATCH_MAX_PIXELS:
        return of(x, kernel)

    def parts(x: Array, kernel: Array | Int8) -> Array:
        def part(first: Array) -> Array:
            own = jax.tree.map(
                lambda a: jax.lax.dynamic_slice_in_dim(a, first, channels, a.ndim - 1), kernel
            )
            return of(x, own)

        made = mapped(part, jnp.arange(0, kernel.shape[-1], channels))
        return jnp.moveaxis(made, 0, -2).reshape(*made.shape[1:-1], -1)

    return jax.lax.platform_dependent(x, kernel, cpu=parts, default=of)


def part_channels(shape: tuple[int, ...]) -> int:
    """The most output channels, a divisor of all, of which PART holds the numbers."""
    *inner, outputs = shape
    return largest_divisor(outputs, PART // math.prod(inner))


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of a number that is no larger than a limit; 1 at least."""
    return next(n for n in range(min(number, max(1, limit)), 0, -1) if number % n == 0)
