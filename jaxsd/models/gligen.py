"""GLIGEN (Li et al. 2023): what is where in a picture, by tokens that its pixels look at.

A network makes a token of each box and its text. In each transformer block of a U-Net, between its
two attentions, a gated layer lets pixels look at each other and at these tokens (section 4).
"""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxsd.config import UNetConfig
from jaxsd.nn.activations import silu
from jaxsd.nn.dense import dense
from jaxsd.nn.layers import ShapeChecked
from jaxsd.nn.normalization import layer_norm
from jaxsd.nn.transformer import Attention, FeedForward
from jaxsd.types import Array

TOKENS = 30
"""Tokens of a picture, and so its boxes at most. Those without a box are learnt ones."""
FREQUENCIES = 8
"""Of the waves that stand for a side of a box."""
HIDDEN = 512
"""Width between the layers that make a token."""


class PositionNet(ShapeChecked, nn.Module):
    """Boxes with their texts to tokens, in float32.

    Attributes:
      width: of a token.
    """

    width: int

    @nn.compact
    def __call__(self, texts: Array, boxes: Array, there: Array) -> Array:
        """Runs the network.

        Args:
          texts: [B, N, d] float32, pooled and not projected.
          boxes: [B, N, 4] float32, left, top, right and bottom as shares of the picture.
          there: [B, N] bool, False where a learnt token stands in place of a box.

        Returns:
          [B, N, width].
        """

        def or_learnt(given: Array, name: str) -> Array:
            null = self.param(name, nn.initializers.zeros, given.shape[-1:])
            return jnp.where(there[..., None], given, null[None, None])

        h = jnp.concatenate(
            [
                or_learnt(texts, "null_positive_feature"),
                or_learnt(waves(boxes), "null_position_feature"),
            ],
            axis=-1,
        )
        for i in (0, 2):
            h = silu(dense(HIDDEN, f"linears_{i}", jnp.float32)(h))
        return dense(self.width, "linears_4", jnp.float32)(h)


class GatedSelfAttention(ShapeChecked, nn.Module):
    """Self-attention of pixels and tokens, and a feed-forward, each behind a gate tanh(alpha)."""

    heads: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, tokens: Array) -> Array:
        """Pixels [B, L, d] and tokens [B, N, e] -> [B, L, d]; of the tokens nothing is asked."""
        length, width = x.shape[1:]
        tokens = dense(width, "linear", self.dtype)(tokens.astype(self.dtype))
        both = layer_norm("norm1", self.dtype)(jnp.concatenate([x, tokens], axis=1))
        h = Attention(self.heads, self.dtype, name="attn")(both[:, :length], both)
        x = x + self._gate("alpha_attn") * h
        h = FeedForward(self.dtype, name="ff")(layer_norm("norm2", self.dtype)(x))
        return x + self._gate("alpha_dense") * h

    def _gate(self, name: str) -> Array:
        alpha = self.param(name, nn.initializers.zeros, ())
        return jnp.tanh(alpha.astype(jnp.float32)).astype(self.dtype)


def waves(boxes: Array) -> Array:
    """Sines and cosines of boxes [..., 4], [..., 64]: by frequency, then kind, then side.

    The frequencies grow from 1 to 100 without reaching it.
    """
    frequencies = np.float32(100.0 ** (np.arange(FREQUENCIES) / FREQUENCIES))
    angles = jnp.expand_dims(boxes, -2) * jnp.expand_dims(frequencies, (*range(boxes.ndim - 1), -1))
    return jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-2).reshape(*boxes.shape[:-1], -1)


def heads_of(config: UNetConfig, block: str) -> int:
    """The attention heads in a block of a U-Net, such as "up_blocks_1"."""
    way, _, number = block.partition("_blocks_")
    levels = {"down": config.levels, "up": config.levels[::-1]}.get(way)
    return config.levels[-1].heads if levels is None else levels[int(number)].heads
