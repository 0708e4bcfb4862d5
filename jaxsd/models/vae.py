"""The autoencoder between pixels and latents (Rombach et al. 2022, section 3.1)."""

import jax.numpy as jnp
from flax import linen as nn

from jaxsd.config import VAEConfig
from jaxsd.nn.activations import silu
from jaxsd.nn.attention import attention
from jaxsd.nn.convolution import Downsample, Pointwise, Upsample, convolution
from jaxsd.nn.dense import dense
from jaxsd.nn.normalization import group_norm
from jaxsd.nn.resnet import ResnetBlock
from jaxsd.types import Array

EPSILON = 1e-6


class PixelAttention(nn.Module):
    """Self-attention with one head over all pixels, residual."""

    groups: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, c] -> [B, h, w, c]."""
        batch, height, width, channels = x.shape
        h = group_norm(self.groups, EPSILON, "group_norm", self.dtype)(x)
        h = h.reshape(batch, height * width, channels)

        def project(name: str) -> Array:
            return dense(channels, name, self.dtype)(h)[:, :, None]

        h = attention(project("to_q"), project("to_k"), project("to_v"))[:, :, 0]
        return x + dense(channels, "to_out_0", self.dtype)(h).reshape(x.shape)


class VAEMidBlock(nn.Module):
    """Resnet, attention, resnet."""

    channels: int
    groups: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, c] -> [B, h, w, c]."""
        x = _resnet(self.channels, self.groups, 0, self.dtype)(x)
        x = PixelAttention(self.groups, self.dtype, name="attentions_0")(x)
        return _resnet(self.channels, self.groups, 1, self.dtype)(x)


class EncoderBlock(nn.Module):
    """Resnets of one level, then half the size with `downsample`."""

    channels: int
    config: VAEConfig
    downsample: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, c] -> [B, h/2, w/2, channels]."""
        for i in range(self.config.resnets):
            x = _resnet(self.channels, self.config.norm_groups, i, self.dtype)(x)
        if self.downsample:
            x = Downsample(self.channels, (0, 1), self.dtype, name="downsamplers_0")(x)
        return x


class DecoderBlock(nn.Module):
    """Resnets of one level, one more than in the encoder, then twice the size with `upsample`."""

    channels: int
    config: VAEConfig
    upsample: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, c] -> [B, 2h, 2w, channels]."""
        for i in range(self.config.resnets + 1):
            x = _resnet(self.channels, self.config.norm_groups, i, self.dtype)(x)
        if self.upsample:
            size = (2 * x.shape[1], 2 * x.shape[2])
            x = Upsample(self.channels, self.dtype, name="upsamplers_0")(x, size)
        return x


class Encoder(nn.Module):
    """Images to the moments of the posterior, before `quant_conv`."""

    config: VAEConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, H, W, 3] -> [B, h, w, 2 * latent_channels]."""
        config, dtype = self.config, self.dtype
        x = convolution(config.channels[0], "conv_in", dtype)(x)
        last = len(config.channels) - 1
        for i, channels in enumerate(config.channels):
            x = EncoderBlock(channels, config, i < last, dtype, name=f"down_blocks_{i}")(x)
        x = VAEMidBlock(config.channels[-1], config.norm_groups, dtype, name="mid_block")(x)
        x = silu(group_norm(config.norm_groups, EPSILON, "conv_norm_out", dtype)(x))
        return convolution(2 * config.latent_channels, "conv_out", dtype)(x)


class Decoder(nn.Module):
    """Latents, after `post_quant_conv`, to images."""

    config: VAEConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, latent_channels] -> [B, H, W, 3]."""
        config, dtype = self.config, self.dtype
        x = convolution(config.channels[-1], "conv_in", dtype)(x)
        x = VAEMidBlock(config.channels[-1], config.norm_groups, dtype, name="mid_block")(x)
        last = len(config.channels) - 1
        for i, channels in enumerate(reversed(config.channels)):
            x = DecoderBlock(channels, config, i < last, dtype, name=f"up_blocks_{i}")(x)
        x = silu(group_norm(config.norm_groups, EPSILON, "conv_norm_out", dtype)(x))
        return convolution(config.image_channels, "conv_out", dtype)(x)


class VAE(nn.Module):
    """The autoencoder. Its latents are unscaled: the caller applies `scaling_factor`."""

    config: VAEConfig
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        """Names the four parts as diffusers does."""
        channels, dtype = self.config.latent_channels, self.compute
        self.encoder = Encoder(self.config, dtype)
        self.decoder = Decoder(self.config, dtype)
        self.quant_conv = Pointwise(2 * channels, dtype)
        self.post_quant_conv = Pointwise(channels, dtype)

    @property
    def compute(self) -> jnp.dtype:
        """The dtype it computes in: float32 in place of float16 with `config.force_upcast`."""
        upcast = self.config.force_upcast and self.dtype == jnp.float16
        return jnp.dtype(jnp.float32 if upcast else self.dtype)

    def encode(self, images: Array) -> tuple[Array, Array]:
        """Gives the posterior of images (Kingma and Welling 2014, equation 9).

        Args:
          images: [B, H, W, 3] in [-1, 1].

        Returns:
          Mean and logarithm of the variance, each [B, h, w, latent_channels] float32; the latter
          clipped to [-30, 20].
        """
        moments = self.quant_conv(self.encoder(images.astype(self.compute)))
        mean, log_variance = jnp.split(moments.astype(jnp.float32), 2, axis=-1)
        return mean, jnp.clip(log_variance, -30.0, 20.0)

    def decode(self, latents: Array) -> Array:
        """Unscaled latents [B, h, w, c] -> images [B, H, W, 3] float32 in about [-1, 1]."""
        images = self.decoder(self.post_quant_conv(latents.astype(self.compute)))
        return images.astype(jnp.float32)

    def __call__(self, images: Array) -> Array:
        """Images to their reconstruction from the posterior's mean; touches every parameter."""
        return self.decode(self.encode(images)[0])


def _resnet(channels: int, groups: int, i: int, dtype: jnp.dtype) -> ResnetBlock:
    return ResnetBlock(channels, groups, EPSILON, dtype, name=f"resnets_{i}")
