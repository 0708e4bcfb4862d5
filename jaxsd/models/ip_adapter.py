"""IP-Adapter (Ye et al. 2023): a picture beside the prompt, by a second cross-attention.

Of a picture CLIP's vision tower and a small network make tokens. Each cross-attention of the U-Net
has another kernel for keys and another for values, which see these tokens (equation 5).
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsd.config import (
    FaceConfig,
    IPAdapterConfig,
    PerceptronConfig,
    ProjectionConfig,
    ResamplerConfig,
)
from jaxsd.models.clip_vision import VisionEncoder, VisionOutput
from jaxsd.nn.attention import attention
from jaxsd.nn.dense import dense
from jaxsd.nn.normalization import layer_norm
from jaxsd.types import Array, Params

HEAD_WIDTH = 64

KeysValues = dict[str, tuple[Array, Array]]
"""Path of a cross-attention -> keys and values [B, 2, T, c], of no picture and of the picture."""


class Projection(nn.Module):
    """The embedding of a picture to a few tokens."""

    config: ProjectionConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, embedding: Array) -> Array:
        """[B, inputs] -> [B, tokens, width]."""
        tokens, width = self.config.tokens, self.config.width
        x = dense(tokens * width, "proj", self.dtype)(embedding.astype(self.dtype))
        return layer_norm("norm", self.dtype)(x.reshape(-1, tokens, width))


class Perceptron(nn.Module):
    """Each patch to a token."""

    config: PerceptronConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, patches: Array) -> Array:
        """[B, L, inputs] -> [B, L, width]."""
        x = dense(self.config.inputs, "fc1", self.dtype)(patches.astype(self.dtype))
        x = dense(self.config.width, "fc2", self.dtype)(jax.nn.gelu(x, approximate=False))
        return layer_norm("norm", self.dtype)(x)


class Face(nn.Module):
    """The embedding of a face to a few tokens."""

    config: FaceConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, embedding: Array) -> Array:
        """[B, inputs] -> [B, tokens, width]."""
        config = self.config
        x = dense(config.hidden, "fc1", self.dtype)(embedding.astype(self.dtype))
        x = jax.nn.gelu(x, approximate=False)
        x = dense(config.tokens * config.width, "fc2", self.dtype)(x)
        return layer_norm("norm", self.dtype)(x.reshape(-1, config.tokens, config.width))


class ResamplerLayer(nn.Module):
    """Learnt queries attend to patches and to themselves; then an MLP."""

    config: ResamplerConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, patches: Array) -> Array:
        """[B, tokens, hidden], patches [B, L, hidden] -> [B, tokens, hidden]."""
        config, inner = self.config, self.config.heads * HEAD_WIDTH
        patches = layer_norm("norm1", self.dtype)(patches)
        queries = layer_norm("norm2", self.dtype)(x)
        seen = jnp.concatenate([patches, queries], axis=1)

        def project(tokens: Array, width: int, name: str) -> Array:
            return dense(width, name, self.dtype, use_bias=False)(tokens)

        def by_head(tokens: Array) -> Array:
            return tokens.reshape(*tokens.shape[:2], config.heads, HEAD_WIDTH)

        k, v = jnp.split(project(seen, 2 * inner, "to_kv"), 2, axis=-1)
        out = attention(*map(by_head, (project(queries, inner, "to_q"), k, v)))
        x = x + project(out.reshape(*x.shape[:2], inner), config.hidden, "to_out")
        h = project(layer_norm("norm3", self.dtype)(x), config.mlp_width, "fc1")
        return x + project(jax.nn.gelu(h, approximate=False), config.hidden, "fc2")


class Resampler(nn.Module):
    """All patches of a picture to a few tokens (Alayrac et al. 2022, "Flamingo", section 3.1.1)."""

    config: ResamplerConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, patches: Array) -> Array:
        """[B, L, inputs] -> [B, tokens, width]."""
        config = self.config
        shape = (1, config.tokens, config.hidden)
        queries = self.param("latents", nn.initializers.normal(config.hidden**-0.5), shape)
        x = jnp.broadcast_to(queries.astype(self.dtype), (len(patches), *shape[1:]))
        patches = dense(config.hidden, "proj_in", self.dtype)(patches.astype(self.dtype))
        for i in range(config.layers):
            x = ResamplerLayer(config, self.dtype, name=f"layers_{i}")(x, patches)
        x = dense(config.width, "proj_out", self.dtype)(x)
        return layer_norm("norm_out", self.dtype)(x)


_PROJECTIONS = {
    ProjectionConfig: Projection,
    PerceptronConfig: Perceptron,
    FaceConfig: Face,
    ResamplerConfig: Resampler,
}


class IPAdapter(NamedTuple):
    """An adapter as a function of its parameters `{"vision", "projection", "layers"}`; static.

    One for faces has no `vision`.
    """

    config: IPAdapterConfig
    dtype: jnp.dtype = jnp.float32

    def tokens(self, params: Params, images: Array) -> Array:
        """Pictures [B, s, s, 3], preprocessed as for CLIP -> [B, 2, T, width].

        The first tokens are those of no picture, for negative prompts: of an embedding of zeros, or
        of patches of grey. The second are those of the picture. Of faces it is given embeddings
        [B, d].
        """
        config = self.config

        def look(images: Array) -> VisionOutput:
            encoder = VisionEncoder(config.vision, self.dtype)
            return encoder.apply({"params": params["vision"]}, images)

        # No picture is one more of the batch, so that each network runs once.
        if isinstance(config.projection, FaceConfig):
            seen = jnp.concatenate([images, jnp.zeros_like(images[:1])])
        elif isinstance(config.projection, ProjectionConfig):
            embedding = look(images).embedding
            seen = jnp.concatenate([embedding, jnp.zeros_like(embedding[:1])])
        else:
            seen = look(jnp.concatenate([images, jnp.zeros_like(images[:1])])).patches
        project = _PROJECTIONS[type(config.projection)](config.projection, self.dtype)
        tokens = project.apply({"params": params["projection"]}, seen)
        none = jnp.broadcast_to(tokens[-1:], tokens[:-1].shape)
        return jnp.stack([none, tokens[:-1]], axis=1)

    def keys_and_values(self, params: Params, images: Array) -> KeysValues:
        """What each cross-attention of the U-Net sees of pictures, see `tokens`."""
        tokens = self.tokens(params, images)

        def project(own: Params, name: str) -> Array:
            width = own[name]["kernel"].shape[-1]
            layer = dense(width, name, self.dtype, use_bias=False)
            return layer.apply({"params": own[name]}, tokens)

        return {
            path: (project(own, "to_k"), project(own, "to_v"))
            for path, own in _attentions(params["layers"])
        }


def _attentions(tree: Params, path: str = "") -> Iterator[tuple[str, Params]]:
    """Path of each attention in a tree, and its kernels."""
    if "to_k" in tree:
        yield path.removeprefix("/"), tree
        return
    for name, own in tree.items():
        yield from _attentions(own, f"{path}/{name}")
