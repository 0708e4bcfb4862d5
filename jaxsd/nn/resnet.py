"""The residual block of U-Net and VAE."""

import jax.numpy as jnp
from flax import linen as nn

from jaxsd.nn.activations import silu
from jaxsd.nn.convolution import SMALL, Pointwise, convolution
from jaxsd.nn.dense import dense
from jaxsd.nn.normalization import group_norm
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
    def __call__(self, x: Array, time: Array | None = None) -> Array:
        """[B, h, w, c] and time [B, d] -> [B, h, w, channels]."""
        h = silu(group_norm(self.groups, self.epsilon, "norm1", self.dtype)(x))
        h = convolution(self.channels, "conv1", self.dtype)(h)
        if time is not None:
            project = dense(self.channels, "time_emb_proj", self.dtype)
            h = h + project(silu(time))[:, None, None, :]
        h = silu(group_norm(self.groups, self.epsilon, "norm2", self.dtype)(h))
        h = convolution(self.channels, "conv2", self.dtype, kernel_init=SMALL)(h)
        if x.shape[-1] != self.channels:
            x = Pointwise(self.channels, self.dtype, name="conv_shortcut")(x)
        return x + h
