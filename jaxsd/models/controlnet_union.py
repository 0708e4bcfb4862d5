"""What a ControlNet-Union (xinsir 2024) makes of the kind of its picture: edges, depth, a pose...

A ControlNet with one hint network for all kinds. The kind moves the hint's channels and the time.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsd.config import ControlNetConfig
from jaxsd.nn.dense import dense
from jaxsd.nn.embeddings import TimestepEmbedding, sinusoids
from jaxsd.nn.layers import Embed
from jaxsd.nn.normalization import layer_norm
from jaxsd.types import Array


class KindNetwork(nn.Module):
    """The layers beside those of the ControlNet, in the same tree.

    The network that was published has a transformer over the tokens of hint and latents, whose
    attention is over the batch: in a batch of one picture, each token sees itself alone. So it is
    here for any batch, and the latents' token, whose result nothing reads, is not there.
    """

    config: ControlNetConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(
        self, features: tuple[Array, ...], kinds: Array, weights: Array | None = None
    ) -> tuple[Array, Array]:
        """Sees features of N hints, [B, h, w, c] each, of kinds [B, N] int32.

        Of several hints the features are weighted already, and `weights` [B, N] are for the rest.

        Returns:
          The features to add to the latents' [B, h, w, c]; what is added to the time [B, time_dim].
        """
        count, width, dtype = self.config.kinds, features[0].shape[-1], self.dtype
        table = Embed(count, width, dtype=dtype, name="task_embedding")
        means = jnp.stack([own.mean((1, 2)) for own in features], axis=1)
        weight = 1 if weights is None else weights.astype(dtype)[..., None]
        token = means + table(kinds) * weight  # [B, N, c]
        for i in range(self.config.kind_layers):
            token = _Block(dtype, name=f"transformer_layes_{i}")(token)  # their spelling
        shift = dense(width, "spatial_ch_projs", dtype)(token) * weight
        seen = sum(own + shift[:, i, None, None] for i, own in enumerate(features))
        several_hot = jax.nn.one_hot(kinds, count).max(axis=1).reshape(-1)
        waves = sinusoids(several_hot, self.config.unet.added.time_id_dim)
        embed = TimestepEmbedding(self.config.unet.time_dim, dtype, name="control_add_embedding")
        return seen, embed(waves.reshape(len(kinds), -1).astype(dtype))


class _Block(nn.Module):
    """CLIP's transformer block on a token that sees itself alone."""

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, N, c] -> [B, N, c]."""
        width, dtype = x.shape[-1], self.dtype
        seen = dense(width, "v_proj", dtype)(layer_norm("ln_1", dtype)(x))
        x = x + dense(width, "out_proj", dtype)(seen)
        h = dense(4 * width, "c_fc", dtype)(layer_norm("ln_2", dtype)(x))
        return x + dense(width, "c_proj", dtype)(h * jax.nn.sigmoid(1.702 * h))
