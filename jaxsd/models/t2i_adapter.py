"""T2I-Adapter (Mou et al. 2023): a small network whose features are added on a U-Net's way down."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsd.config import T2IAdapterConfig, UNetConfig
from jaxsd.nn.convolution import Pointwise, convolution
from jaxsd.types import Array, Params


class T2IAdapter(nn.Module):
    """Features of a picture at the sizes of a U-Net's levels (section 3.2)."""

    config: T2IAdapterConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: Array) -> tuple[Array, ...]:
        """[B, H, W, 3] in [0, 1] -> [B, h_i, w_i, c_i] float32, the largest first."""
        config = self.config
        if config.condition_channels == 1:
            image = image.mean(axis=-1, keepdims=True)
        x = _unshuffled(image, config.downscale).astype(self.dtype)
        if not config.light:
            x = convolution(config.channels[0], "conv_in", self.dtype)(x)
        features = []
        for i, (width, halve) in enumerate(zip(config.channels, config.halves, strict=True)):
            x = _halved(x) if halve else x
            x = Block(width, config.resnets, config.light, self.dtype, name=f"body_{i}")(x)
            features.append(x.astype(jnp.float32))
        return tuple(features)

    def seen(self, params: Params, image: Array) -> tuple[Array, ...]:
        """What a drawing holds of pictures [B, H, W, 3] in [0, 1]: the features."""
        return self.apply({"params": params}, image)


class Block(nn.Module):
    """Residual blocks of one size; light ones are a quarter as wide."""

    channels: int
    resnets: int
    light: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, c] -> [B, h, w, channels]."""
        width = self.channels // 4 if self.light else self.channels
        if self.light or x.shape[-1] != width:
            x = Pointwise(width, self.dtype, name="in_conv")(x)
        for i in range(self.resnets):
            x = Resnet(width, self.light, self.dtype, name=f"resnets_{i}")(x)
        return Pointwise(self.channels, self.dtype, name="out_conv")(x) if self.light else x


class Resnet(nn.Module):
    """Two convolutions and the input; the second is 3x3 in light blocks, else 1x1."""

    channels: int
    light: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, c] -> [B, h, w, c]."""
        h = jax.nn.relu(convolution(self.channels, "block1", self.dtype)(x))
        if self.light:
            return x + convolution(self.channels, "block2", self.dtype)(h)
        return x + Pointwise(self.channels, self.dtype, name="block2")(h)


def places(unet: UNetConfig) -> list[tuple[str, int, int]]:
    """Where a U-Net takes features: path of the module, channels, latents per feature along a side.

    A level takes them after its last attention; one without attention, at its end; and after all
    levels, the middle.
    """
    found = []
    for i, level in enumerate(unet.levels):
        path, scale = f"down_blocks_{i}", 2**i
        if level.attention_depth:
            path = f"{path}/attentions_{level.resnets - 1}"
        elif i < len(unet.levels) - 1:
            scale *= 2
        found.append((path, level.channels, scale))
    return [*found, ("mid_block", unet.levels[-1].channels, 2 ** (len(unet.levels) - 1))]


def _unshuffled(image: Array, side: int) -> Array:
    """Squares of pixels as channels, [B, H, W, c] -> [B, H/side, W/side, c * side^2]."""
    batch, height, width, channels = image.shape
    squares = image.reshape(batch, height // side, side, width // side, side, channels)
    return squares.transpose(0, 1, 3, 5, 2, 4).reshape(*squares.shape[:2], width // side, -1)


def _halved(x: Array) -> Array:
    """Means of squares of 2 x 2; at odd ends, of those pixels that there are."""
    batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    height, width = x.shape[1] // 2, x.shape[2] // 2
    return x.reshape(batch, height, 2, width, 2, channels).mean((2, 4))
