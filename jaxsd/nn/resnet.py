"""The residual block of U-Net and VAE."""

import jax.numpy as jnp
from flax import linen as nn

from jaxsd.nn.convolution import SMALL, Pointwise, convolution
from jaxsd.nn.normalization import group_norm
from jaxsd.nn.products import Shared, projected
from jaxsd.types import Array


class ResnetBlock(nn.Module):
    """Two normalised 3x3 convolutions with a shortcut; the time embedding is added between them.

    Attributes:
      channels: width of the output.
      groups: groups of the norms.
      epsilon: epsilon of the norms, 1e-5 in the U-Net, 1e-6 in the VAE.
    """

    channels: int
    groups: int
    epsilon: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, time: Array | Shared | None = None) -> Array:
        """[B, h, w, c] and silu of the time embedding [B, d] -> [B, h, w, channels]."""
        h = nn.silu(group_norm(self.groups, self.epsilon, "norm1", self.dtype)(x))
        h = convolution(self.channels, "conv1", self.dtype)(h)
        shift = None
        if time is not None:
            path = (*self.path, "time_emb_proj")
            shift = projected(time, path, self.channels, self.dtype)
        h = nn.silu(group_norm(self.groups, self.epsilon, "norm2", self.dtype)(h, shift))
        h = convolution(self.channels, "conv2", self.dtype, kernel_init=SMALL)(h)
        if x.shape[-1] != self.channels:
            x = Pointwise(self.channels, self.dtype, name="conv_shortcut")(x)
        return x + h
