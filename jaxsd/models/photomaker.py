"""PhotoMaker (Li et al. 2023): the token of a word, fused with what CLIP sees in a picture."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsd.config import VisionConfig
from jaxsd.models.clip_vision import VisionEncoder
from jaxsd.nn.dense import dense
from jaxsd.nn.normalization import layer_norm
from jaxsd.types import Array


class NormalisedMLP(nn.Module):
    """A norm and two dense layers; the caller adds the residual."""

    width: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, d] -> [B, width]."""
        x = layer_norm("layernorm", self.dtype)(x)
        x = jax.nn.gelu(dense(self.width, "fc1", self.dtype)(x), approximate=False)
        return dense(self.width, "fc2", self.dtype)(x)


class Fuse(nn.Module):
    """Tokens of words, fused with embeddings of pictures."""

    width: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, tokens: Array, embeddings: Array) -> Array:
        """[B, width], [B, width] -> [B, width]."""
        both = jnp.concatenate([tokens, embeddings], axis=-1)
        x = tokens + NormalisedMLP(self.width, self.dtype, name="mlp1")(both)
        x = x + NormalisedMLP(self.width, self.dtype, name="mlp2")(x)
        return layer_norm("layer_norm", self.dtype)(x)


class PhotoMaker(nn.Module):
    """The tower and the layers that fuse; `projection_dim` is the width of the U-Net's context.

    The files' two projections, one as wide as each text encoder of XL, are one here.
    """

    config: VisionConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, tokens: Array, images: Array) -> Array:
        """Tokens of words, each with a picture of who is meant.

        Args:
          tokens: [B, d] float32, of the context.
          images: [B, s, s, 3] float32, preprocessed as for CLIP.

        Returns:
          [B, d] float32, in place of the tokens.
        """
        seen = VisionEncoder(self.config, self.dtype, name="vision")(images).embedding
        fuse = Fuse(self.config.projection_dim, self.dtype, name="fuse_module")
        return fuse(tokens.astype(self.dtype), seen.astype(self.dtype)).astype(jnp.float32)
