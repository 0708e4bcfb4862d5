"""3x3 convolutions on TPUs, by a kernel of Pallas.

XLA's convolution wants 16 pixels of different images side by side. Of fewer images it makes
strips, which overlap.
"""

import jax

from jaxsd.nn.shared_kernel import IMAGES, PARTS, shared_kernel
from jaxsd.types import Array

LAYOUT = ("NHWC", "HWIO", "NHWC")
_IMAGES, _OUTPUTS = (IMAGES, None, None, None), (None, None, None, PARTS)


def plain_convolution(x: Array, kernel: Array) -> Array:
    """XLA's 3x3 convolution of stride 1, padded by one."""
    padding = ((1, 1), (1, 1))
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=LAYOUT)


@jax.custom_jvp
def tpu_convolution(x: Array, kernel: Array) -> Array:
    """A 3x3 convolution of stride 1, padded by one, for maps that `convolves` accepts.

    With a derivative it is XLA's, in both modes, so that rematerialisation sees it. Devices share
    images and output channels.

    Args:
      x: [B, h, w, c].
      kernel: [3, 3, c, channels], dtype of `x`.

    Returns:
      [B, h, w, channels], dtype of `x`.
    """
    return jax.lax.platform_dependent(x, kernel, tpu=_shared, default=plain_convolution)


@tpu_convolution.defjvp
def _tangent(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return jax.jvp(plain_convolution, primals, tangents)


def _kernel(x: Array, kernel: Array) -> Array:
    # Imported here because only programs for TPUs need Pallas, which takes long to import.
    from jaxsd.nn.tpu_convolution_kernel import kernel_convolution

    return kernel_convolution(x, kernel)


_shared = shared_kernel(_kernel, (_IMAGES, _OUTPUTS), (IMAGES, None, None, PARTS))
