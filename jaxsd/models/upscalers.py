"""Networks that enlarge pictures: ESRGAN's, Real-ESRGAN's compact ones, residual dense networks.

All take and give [B, h, w, 3] in [0, 1]; names of parameters are Real-ESRGAN's.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsd.nn.convolution import EVEN, Pointwise, convolution, enlarged
from jaxsd.nn.layers import Conv
from jaxsd.types import Array
from jaxsd.upscalers import CompactConfig, RDNConfig, RRDBConfig, UpscalerConfig

RESIDUAL = 0.2
"""Weight of what ESRGAN's blocks add, beta in Wang et al. 2018, section 3.1."""

leaky = partial(jax.nn.leaky_relu, negative_slope=0.2)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees all before it; residual."""

    config: RRDBConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, channels] -> the same shape."""
        seen = x
        for i in range(1, 5):
            more = convolution(self.config.growth, f"conv{i}", self.dtype)(seen)
            seen = jnp.concatenate([seen, leaky(more)], axis=-1)
        return x + RESIDUAL * convolution(self.config.channels, "conv5", self.dtype)(seen)


class RRDB(nn.Module):
    """Three dense blocks; residual."""

    config: RRDBConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, _: None) -> tuple[Array, None]:
        """[B, h, w, channels] -> the same shape."""
        h = x
        for i in range(1, 4):
            h = DenseBlock(self.config, self.dtype, name=f"rdb{i}")(h)
        return x + RESIDUAL * h, None


class RRDBNet(nn.Module):
    """ESRGAN's generator. Its blocks are a loop, whose parameters are [blocks, ...]."""

    config: RRDBConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: Array) -> Array:
        """[B, h, w, 3] -> [B, scale h, scale w, 3] float32; `folded` divides h and w."""
        config = self.config
        conv = partial(convolution, config.channels, dtype=self.dtype)
        x = first = conv("conv_first")(folded(images.astype(self.dtype), config.folded))
        # As one block after the other, 23 of them take minutes to compile.
        own = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        body = nn.scan(RRDB, **own, length=config.blocks)(config, self.dtype, name="body")
        x, _ = body(x, None)
        x = first + conv("conv_body")(x)
        for i in range(1, config.doublings + 1):
            x = leaky(conv(f"conv_up{i}", form=partial(enlarged, EVEN))(x))
        x = leaky(conv("conv_hr")(x))
        return convolution(3, "conv_last", self.dtype)(x).astype(jnp.float32)


class Compact(nn.Module):
    """Real-ESRGAN's SRVGGNetCompact: what it makes is added to the repeated pixels."""

    config: CompactConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: Array) -> Array:
        """[B, h, w, 3] -> [B, scale h, scale w, 3] float32."""
        config, x = self.config, images.astype(self.dtype)
        for i in range(config.convolutions + 1):
            x = convolution(config.channels, f"conv_{i}", self.dtype)(x)
            slope = self.param(f"slope_{i}", nn.initializers.constant(0.25), (config.channels,))
            x = jnp.where(x >= 0, x, slope[None, None, None].astype(x.dtype) * x)
        last = f"conv_{config.convolutions + 1}"
        x = convolution(3 * config.scale**2, last, self.dtype)(x)
        made = unfolded(x, config.scale).astype(jnp.float32)
        return made + images.repeat(config.scale, axis=1).repeat(config.scale, axis=2)


class RDN(nn.Module):
    """Residual dense network with the layers of image-super-resolution, and their names."""

    config: RDNConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: Array) -> Array:
        """[B, h, w, 3] -> [B, scale h, scale w, 3] float32."""
        config, dtype, scale = self.config, self.dtype, self.config.scale
        conv = partial(convolution, dtype=dtype)
        shallow = conv(config.channels, "F_m1")(images.astype(dtype))
        x, each = conv(config.channels, "F_0")(shallow), []
        for block in range(1, config.blocks + 1):
            seen = x
            for layer in range(1, config.layers + 1):
                more = jax.nn.relu(conv(config.growth, f"F_{block}_{layer}")(seen))
                seen = jnp.concatenate([seen, more], axis=-1)
            x = x + Pointwise(config.channels, dtype, name=f"LFF_{block}")(seen)
            each.append(x)
        x = Pointwise(config.channels, dtype, name="GFF_1")(jnp.concatenate(each, axis=-1))
        x = shallow + conv(config.channels, "GFF_2")(x)
        x = jax.nn.relu(Conv(config.channels, (5, 5), dtype=dtype, name="UPN1")(x))
        x = jax.nn.relu(conv(config.channels // 2, "UPN2")(x))
        x = conv(3 * scale**2, "UPN3")(x)
        x = conv(3, "SR")(x.repeat(scale, axis=1).repeat(scale, axis=2))
        return x.astype(jnp.float32)


def folded(x: Array, side: int) -> Array:
    """Squares of pixels as channels, as PyTorch's `PixelUnshuffle`.

    [B, side h, side w, c] -> [B, h, w, c side^2].
    """
    if side == 1:
        return x
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // side, side, width // side, side, channels)
    return x.transpose(0, 1, 3, 5, 2, 4).reshape(batch, height // side, width // side, -1)


def unfolded(x: Array, side: int) -> Array:
    """The reverse of `folded`, PyTorch's `PixelShuffle`."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, channels // side**2, side, side)
    return x.transpose(0, 1, 4, 2, 5, 3).reshape(batch, height * side, width * side, -1)


UpscalerNetwork = RRDBNet | Compact | RDN

NETWORKS: dict[type, type[UpscalerNetwork]] = {
    RRDBConfig: RRDBNet,
    CompactConfig: Compact,
    RDNConfig: RDN,
}
"""Numbers -> the network with them."""


def upscaler(config: UpscalerConfig, dtype: jnp.dtype) -> UpscalerNetwork:
    """The network with these numbers, which computes in a dtype."""
    return NETWORKS[type(config)](config, dtype)
