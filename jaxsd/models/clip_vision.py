"""The vision tower of CLIP (Radford et al. 2021, section 2.4): a ViT (Dosovitskiy et al. 2021)."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn

from jaxsd.config import VisionConfig
from jaxsd.models.text import Transformer
from jaxsd.nn.dense import dense
from jaxsd.nn.layers import Conv, Embed, ShapeChecked
from jaxsd.nn.normalization import layer_norm
from jaxsd.types import Array


class VisionOutput(NamedTuple):
    """What the tower sees in pictures."""

    patches: Array  # [B, 1 + patches, width] float32, after the last layer but one
    embedding: Array  # [B, projection_dim] float32, of any length
    last: Array  # [B, 1 + patches, width] float32, after the last layer


class PatchEmbeddings(ShapeChecked, nn.Module):
    """A class token, and the patches of pictures, each with its position."""

    config: VisionConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, images: Array) -> Array:
        """[B, s, s, 3] -> [B, 1 + patches, width]."""
        config, sides = self.config, (self.config.patch_size,) * 2
        init = nn.initializers.normal(config.width**-0.5)
        first = self.param("class_embedding", init, (config.width,)).astype(self.dtype)
        patches = Conv(
            config.width,
            sides,
            sides,
            "VALID",
            use_bias=False,
            dtype=self.dtype,
            name="patch_embedding",
        )(images)
        batch, rows = images.shape[0], config.patches + 1
        first = jnp.broadcast_to(first, (batch, 1, config.width))
        x = jnp.concatenate([first, patches.reshape(batch, -1, config.width)], axis=1)
        table = Embed(
            rows, config.width, dtype=self.dtype, embedding_init=init, name="position_embedding"
        )
        return x + table(jnp.arange(rows))[None]


class VisionEncoder(nn.Module):
    """Pictures to CLIP's embeddings, in the same space as those of texts."""

    config: VisionConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: Array) -> VisionOutput:
        """Sees pictures [B, s, s, 3], preprocessed as for CLIP."""
        config = self.config
        x = PatchEmbeddings(config, self.dtype, name="embeddings")(images.astype(self.dtype))
        x = layer_norm("pre_layrnorm", self.dtype)(x)  # transformers' spelling, and so its files'
        *_, patches, x = Transformer(config, self.dtype, name="encoder")(x)
        first = layer_norm("post_layernorm", self.dtype)(x[:, 0])
        project = dense(config.projection_dim, "visual_projection", self.dtype, use_bias=False)
        made = (patches, project(first), x)
        return VisionOutput(*(one.astype(jnp.float32) for one in made))
