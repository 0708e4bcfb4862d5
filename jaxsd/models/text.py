"""CLIP text encoders (Radford et al. 2021): CLIP-L, OpenCLIP-H, OpenCLIP-bigG.

CLIP's vision tower (`jaxsd.models.clip_vision`) has the same transformer, without a mask.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsd.config import TextConfig, VisionConfig
from jaxsd.nn.attention import attention
from jaxsd.nn.dense import dense
from jaxsd.nn.layers import Embed
from jaxsd.nn.normalization import layer_norm
from jaxsd.types import Array


class TextOutput(NamedTuple):
    """Output of a text encoder for a batch of prompts."""

    context: Array  # [B, L, width] float32, for cross-attention
    pooled: Array  # [B, projection_dim or width] float32, at the first end-of-text


class Embeddings(nn.Module):
    """Token plus position."""

    config: TextConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, ids: Array) -> Array:
        """[B, L] int32 -> [B, L, width]."""
        config = self.config

        def table(rows: int, deviation: float, name: str) -> Embed:
            init = nn.initializers.normal(deviation)
            return Embed(rows, config.width, dtype=self.dtype, embedding_init=init, name=name)

        tokens = table(config.vocab_size, 0.3, "token_embedding")(ids)
        positions = table(config.max_length, 0.1, "position_embedding")(jnp.arange(ids.shape[1]))
        return tokens + positions[None]


class SelfAttention(nn.Module):
    """Multi-head self-attention."""

    heads: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, mask: Array | None) -> Array:
        """[B, L, d] -> [B, L, d]; `mask` as in `attention`."""
        batch, length, width = x.shape

        def project(name: str) -> Array:
            h = dense(width, name, self.dtype)(x)
            return h.reshape(batch, length, self.heads, width // self.heads)

        out = attention(project("q_proj"), project("k_proj"), project("v_proj"), mask)
        return dense(width, "out_proj", self.dtype)(out.reshape(x.shape))


class MLP(nn.Module):
    """Two dense layers around CLIP's own activation or OpenCLIP's exact GELU."""

    config: TextConfig | VisionConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, L, d] -> [B, L, d]."""
        h = dense(self.config.mlp_width, "fc1", self.dtype)(x)
        if self.config.activation == "quick_gelu":
            h = h * jax.nn.sigmoid(1.702 * h)
        else:
            h = jax.nn.gelu(h, approximate=False)
        return dense(self.config.width, "fc2", self.dtype)(h)


class Layer(nn.Module):
    """Attention and MLP, each with pre-norm and residual."""

    config: TextConfig | VisionConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, mask: Array | None) -> Array:
        """[B, L, d] -> [B, L, d]."""
        attend = SelfAttention(self.config.heads, self.dtype, name="self_attn")
        x = x + attend(layer_norm("layer_norm1", self.dtype)(x), mask)
        h = layer_norm("layer_norm2", self.dtype)(x)
        return x + MLP(self.config, self.dtype, name="mlp")(h)


class Transformer(nn.Module):
    """The stack of layers."""

    config: TextConfig | VisionConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, mask: Array | None = None) -> list[Array]:
        """[B, L, d] -> that, and the output of each layer."""
        states = [x]
        for i in range(self.config.layers):
            states.append(Layer(self.config, self.dtype, name=f"layers_{i}")(states[-1], mask))
        return states


class TextEncoder(nn.Module):
    """Token ids to the context of the U-Net."""

    config: TextConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, ids: Array, layer: Array | None = None, seen: Array | None = None
    ) -> TextOutput:
        """Encodes prompts.

        Args:
          ids: [B, L] int32, `L <= max_length`. A prompt ends at the first of its highest id, added
            tokens not counted. Padding is not masked, because the U-Net was trained with it.
          layer: [B] int32, of the context, counted from the last, which is 1; None for that of
            `config.hidden_layer`. The final norm follows where it does for that one.
          seen: [B, L] bool, whether other tokens see a token; None for all. The first must be seen.

        Returns:
          The context, and the pooled vector, which is always of the last layer.
        """
        config = self.config
        x = Embeddings(config, self.dtype, name="embeddings")(ids)
        mask = jnp.tril(jnp.ones((ids.shape[1], ids.shape[1]), bool))
        if seen is not None:
            mask = mask[None] & seen[:, None]
        states = Transformer(config, self.dtype, name="encoder")(x, mask)
        final_norm = layer_norm("final_layer_norm", self.dtype)
        last = final_norm(states[-1])
        added = ids >= config.vocab_size - config.added_tokens
        end = jnp.argmax(jnp.where(added, -1, ids), axis=-1)
        pooled = jnp.take_along_axis(last, end[:, None, None], axis=1)[:, 0]
        if config.projection_dim is not None:
            project = dense(config.projection_dim, "text_projection", self.dtype, use_bias=False)
            pooled = project(pooled)
        context = last if config.hidden_layer == -1 else states[-2]
        if layer is not None:
            context = jnp.stack(states)[len(states) - layer, jnp.arange(len(ids))]
            context = final_norm(context) if config.hidden_layer == -1 else context
        return TextOutput(context.astype(jnp.float32), pooled.astype(jnp.float32))
