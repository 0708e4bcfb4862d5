"""The tiny autoencoder: TAESD of madebyollin, distilled from the large one.

It has only convolutions and ReLU: a fraction of the operations, and coarser pictures. Its latents
are already scaled for the U-Net, so their `scaling_factor` is 1.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsd.config import TinyVAEConfig
from jaxsd.nn.convolution import EVEN, convolution, enlarged
from jaxsd.types import Array

LARGEST = 3.0
"""Latents are squeezed to within (-3, 3) before they are decoded."""


class TinyBlock(nn.Module):
    """Three convolutions, residual, and a ReLU at the end."""

    channels: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, channels] -> the same shape."""
        h = jax.nn.relu(convolution(self.channels, "conv_0", self.dtype)(x))
        h = jax.nn.relu(convolution(self.channels, "conv_2", self.dtype)(h))
        return jax.nn.relu(x + convolution(self.channels, "conv_4", self.dtype)(h))


class TinyEncoder(nn.Module):
    """Images to latents."""

    config: TinyVAEConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, H, W, 3] in [0, 1] -> [B, h, w, latent_channels]."""
        config, dtype, number = self.config, self.dtype, 0
        for i, blocks in enumerate(config.encoder_blocks):
            halved = {"stride": 2, "use_bias": False} if i else {}
            x = convolution(config.channels, f"layers_{number}", dtype, **halved)(x)
            for j in range(number + 1, number + 1 + blocks):
                x = TinyBlock(config.channels, dtype, name=f"layers_{j}")(x)
            number += 1 + blocks
        return convolution(config.latent_channels, f"layers_{number}", dtype)(x)


class TinyDecoder(nn.Module):
    """Latents to images. The numbers of layers count ReLU and doubling too."""

    config: TinyVAEConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, latent_channels] -> [B, H, W, 3] in about [0, 1]."""
        config, dtype, number = self.config, self.dtype, 2
        x = jnp.tanh(x / LARGEST) * LARGEST
        x = jax.nn.relu(convolution(config.channels, "layers_0", dtype)(x))
        for blocks in config.decoder_blocks[:-1]:
            x = self._blocks(x, number, blocks)
            number += blocks + 2
            own = {"use_bias": False, "form": partial(enlarged, EVEN)}
            x = convolution(config.channels, f"layers_{number - 1}", dtype, **own)(x)
        x = self._blocks(x, number, config.decoder_blocks[-1])
        number += config.decoder_blocks[-1]
        return convolution(config.image_channels, f"layers_{number}", dtype)(x)

    def _blocks(self, x: Array, first: int, count: int) -> Array:
        for i in range(first, first + count):
            x = TinyBlock(self.config.channels, self.dtype, name=f"layers_{i}")(x)
        return x


class TinyVAE(nn.Module):
    """The tiny autoencoder, used in place of a `VAE`."""

    config: TinyVAEConfig
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        """Names the parts as diffusers does."""
        self.encoder = TinyEncoder(self.config, self.dtype)
        self.decoder = TinyDecoder(self.config, self.dtype)

    def encode(self, images: Array) -> tuple[Array, Array]:
        """Gives the latents of images as a mean, with the least variance that `VAE.encode` gives.

        Args:
          images: [B, H, W, 3] in [-1, 1].

        Returns:
          Mean and logarithm of the variance, each [B, h, w, latent_channels] float32.
        """
        mean = self.encoder((images.astype(self.dtype) + 1) / 2).astype(jnp.float32)
        return mean, jnp.full_like(mean, -30.0)

    def decode(self, latents: Array) -> Array:
        """Latents [B, h, w, c], as the U-Net has them -> images [B, H, W, 3], about [-1, 1]."""
        images = self.decoder(latents.astype(self.dtype))
        return images.astype(jnp.float32) * 2 - 1

    def __call__(self, images: Array) -> Array:
        """Images to their reconstruction; touches every parameter."""
        return self.decode(self.encode(images)[0])
