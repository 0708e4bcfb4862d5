"""The T2I style adapter (Mou et al. 2023): a picture, as a CLIP sees it, as tokens of a text."""

import jax.numpy as jnp
from flax import linen as nn

from jaxsd.config import VisionConfig
from jaxsd.models.text import Transformer
from jaxsd.nn.dense import dense
from jaxsd.nn.normalization import layer_norm
from jaxsd.types import Array


class StyleAdapter(nn.Module):
    """A transformer over patches and learnt tokens; what comes of those tokens is projected.

    Attributes:
      config: its width, layers and heads, those of CLIP; the width of a text is `projection_dim`.
      tokens: how many are learnt.
    """

    config: VisionConfig
    tokens: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, patches: Array) -> Array:
        """[B, 1 + patches, width] of CLIP's last layer -> [B, tokens, projection_dim] float32."""
        config, init = self.config, nn.initializers.normal(self.config.width**-0.5)
        learnt = self.param("style_embedding", init, (1, self.tokens, config.width))
        learnt = jnp.broadcast_to(learnt, (len(patches), *learnt.shape[1:]))
        x = jnp.concatenate([patches, learnt], axis=1).astype(self.dtype)
        x = layer_norm("pre_layrnorm", self.dtype)(x)
        x = Transformer(config, self.dtype, name="encoder")(x)[-1][:, -self.tokens :]
        x = layer_norm("post_layernorm", self.dtype)(x)
        project = dense(config.projection_dim, "visual_projection", self.dtype, use_bias=False)
        return project(x).astype(jnp.float32)
