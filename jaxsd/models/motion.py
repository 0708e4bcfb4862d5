"""AnimateDiff's motion modules (Guo et al. 2023): transformers over the frames of a clip.

A U-Net draws the frames as images of one batch, and knows nothing of them. Behind each of its
resnets and transformers a module lets every pixel look at itself in all frames (section 4.2).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxsd.config import MotionConfig
from jaxsd.nn.attention import attention
from jaxsd.nn.dense import dense
from jaxsd.nn.normalization import group_norm, layer_norm
from jaxsd.nn.transformer import FeedForward
from jaxsd.types import Array, Params


class TemporalAttention(nn.Module):
    """Attention of each frame to all; features that change a U-Net's attention leave it alone."""

    heads: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, F, c] -> [B, F, c]."""

        def project(name: str) -> Array:
            made = dense(x.shape[-1], name, self.dtype, use_bias=False)(x)
            return made.reshape(*x.shape[:2], self.heads, -1)

        out = attention(project("to_q"), project("to_k"), project("to_v"))
        return dense(x.shape[-1], "to_out_0", self.dtype)(out.reshape(x.shape))


class TemporalBlock(nn.Module):
    """Twice attention to all frames, then feed-forward; each with pre-norm and residual."""

    heads: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, F, c] -> [B, F, c]."""
        position = jnp.asarray(positions(*x.shape[1:]), self.dtype)
        for i in (1, 2):
            h = layer_norm(f"norm{i}", self.dtype)(x) + position[None]
            x = x + TemporalAttention(self.heads, self.dtype, name=f"attn{i}")(h)
        return x + FeedForward(self.dtype, name="ff")(layer_norm("norm3", self.dtype)(x))


class MotionModule(nn.Module):
    """One of the modules."""

    config: MotionConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, frames: int) -> Array:
        """[F*K, h, w, c] of F frames of K branches, those of a frame together -> the same.

        The first norm is of each frame by itself, as where the modules were trained.
        """
        config, channels = self.config, x.shape[-1]
        h = group_norm(config.norm_groups, 1e-6, "norm", self.dtype)(x)
        h = h.reshape(frames, -1, channels).swapaxes(0, 1)
        h = dense(channels, "proj_in", self.dtype)(h)
        for i in range(config.depth):
            h = TemporalBlock(config.heads, self.dtype, name=f"transformer_blocks_{i}")(h)
        zeros = nn.initializers.zeros  # so that training begins with still pictures
        h = dense(channels, "proj_out", self.dtype, kernel_init=zeros)(h)
        return x + h.swapaxes(0, 1).reshape(x.shape)


class Motion(NamedTuple):
    """All motion modules, of whose parameters each is a function; static."""

    config: MotionConfig
    dtype: jnp.dtype = jnp.float32

    def apply(self, params: Params, x: Array, frames: int) -> Array:
        """Runs one of them; see `MotionModule`."""
        module = MotionModule(self.config, self.dtype, parent=None)
        return module.apply({"params": params}, x, frames)


def positions(frames: int, width: int) -> np.ndarray:
    """Sinusoids of the numbers of frames, [F, c], sines and cosines by turns (Vaswani et al. 2017,
    section 3.5).
    """
    angles = np.arange(frames)[:, None] * 10_000.0 ** (-np.arange(0, width, 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(frames, -1)[:, :width]
