"""The spatial transformer of the U-Net: self-attention, cross-attention, GEGLU."""

from contextvars import ContextVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsd.nn.activations import gated
from jaxsd.nn.attention import attention
from jaxsd.nn.bits import mapped
from jaxsd.nn.dense import dense
from jaxsd.nn.narrow import largest_divisor
from jaxsd.nn.normalization import group_norm, layer_norm
from jaxsd.nn.products import Shared, own_products, projected
from jaxsd.types import Array

HIDDEN = 2**22
"""Numbers before the gate that a CPU computes at a time, all images together: 17 MB in float32.
Layers of SD 1.5 take 0.6 to 0.7 of the time so (4,096 tokens) and 0.9 (1,024), with narrow kernels.
"""
WHOLE: ContextVar[bool] = ContextVar("WHOLE", default=False)
"""Whether all tokens are computed at once, since somebody looks at what modules give."""


class Attention(nn.Module):
    """Multi-head attention without bias on queries, keys and values."""

    heads: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, context: Array | Shared | None = None) -> Array:
        """[B, L, d] attends to itself, or to context [B, M, c] -> [B, L, d]."""
        width, shape = x.shape[-1], x.shape
        if context is None:
            x = context = x if WHOLE.get() else own_products(self, x, ("to_k", "to_q", "to_v"))

        def project(tokens: Array | Shared, name: str) -> Array:
            path = (*self.path, name)
            tokens = projected(tokens, path, width, self.dtype, use_bias=False)
            return tokens.reshape(*tokens.shape[:2], self.heads, width // self.heads)

        out = self.attend(project(x, "to_q"), project(context, "to_k"), project(context, "to_v"))
        return dense(width, "to_out_0", self.dtype)(out.reshape(shape))

    def attend(self, q: Array, k: Array, v: Array) -> Array:
        """[B, L, heads, d], twice [B, M, heads, d] -> like `q`; features may intercept it."""
        return attention(q, k, v)


class GEGLU(nn.Module):
    """A dense layer whose second half gates its first by the exact (erf) GELU (Shazeer 2020)."""

    width: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, L, d] -> [B, L, width]."""
        value, gate = jnp.split(dense(2 * self.width, "proj", self.dtype)(x), 2, -1)
        return gated(value, gate)


class FeedForward(nn.Module):
    """GEGLU of four times the width, and back; on a CPU for some of many tokens at a time."""

    dtype: jnp.dtype

    def __call__(self, x: Array) -> Array:
        """[B, L, d] -> [B, L, d]."""
        batch, length, width = x.shape
        tokens = largest_divisor(length, HIDDEN // (8 * batch * width))
        if tokens == length or WHOLE.get() or self.is_initializing():
            return self.whole(x)
        params, alone = self.variables, self.clone(parent=None)

        def all_at_once(x: Array) -> Array:
            return alone.apply(params, x, method="whole")

        def in_turn(x: Array) -> Array:
            parts = jnp.moveaxis(x.reshape(batch, -1, tokens, width), 1, 0)
            return jnp.moveaxis(mapped(all_at_once, parts), 0, 1).reshape(x.shape)

        return jax.lax.platform_dependent(x, cpu=in_turn, default=all_at_once)

    @nn.compact
    def whole(self, x: Array) -> Array:
        """[B, L, d] -> [B, L, d], all tokens at once."""
        h = GEGLU(4 * x.shape[-1], self.dtype, name="net_0")(x)
        return dense(x.shape[-1], "net_2", self.dtype)(h)


class TransformerBlock(nn.Module):
    """Self-attention, attention to the text, feed-forward; each with pre-norm and residual.

    Without `self_attends` the first attention is to the text too.
    """

    heads: int
    dtype: jnp.dtype
    self_attends: bool = True

    @nn.compact
    def __call__(self, x: Array, context: Array | Shared) -> Array:
        """[B, L, d], context [B, M, c] -> [B, L, d]."""
        h, first = layer_norm("norm1", self.dtype)(x), None if self.self_attends else context
        x = self.between(x + Attention(self.heads, self.dtype, name="attn1")(h, first))
        h = layer_norm("norm2", self.dtype)(x)
        x = x + Attention(self.heads, self.dtype, name="attn2")(h, context)
        return x + FeedForward(self.dtype, name="ff")(layer_norm("norm3", self.dtype)(x))

    def between(self, x: Array) -> Array:
        """[B, L, d] between the attentions -> the same; features may intercept it."""
        return x


class SpatialTransformer(nn.Module):
    """Transformer blocks over the pixels of a feature map (Rombach et al. 2022, section 3.3)."""

    depth: int
    heads: int
    groups: int
    dtype: jnp.dtype
    self_attends: bool = True

    @nn.compact
    def __call__(self, x: Array, context: Array | Shared) -> Array:
        """[B, h, w, c], context [B, M, d] -> [B, h, w, c]."""
        channels = x.shape[-1]
        h = group_norm(self.groups, 1e-6, "norm", self.dtype)(x)
        h = h.reshape(x.shape[0], -1, channels)
        h = dense(channels, "proj_in", self.dtype)(h)
        told = (self.heads, self.dtype, self.self_attends)
        for i in range(self.depth):
            h = TransformerBlock(*told, name=f"transformer_blocks_{i}")(h, context)
        init = nn.initializers.variance_scaling(0.3, "fan_in", "truncated_normal")
        h = dense(channels, "proj_out", self.dtype, kernel_init=init)(h)
        return x + h.reshape(x.shape)
