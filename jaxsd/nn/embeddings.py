"""Embeddings of scalars: sinusoids and the small network after them."""

import math

import jax.numpy as jnp
from flax import linen as nn

from jaxsd.nn.activations import silu
from jaxsd.nn.dense import dense
from jaxsd.types import Array


def sinusoids(values: Array, dim: int) -> Array:
    """Embeds scalars in cosines and sines of geometric frequencies (Vaswani et al. 2017, 3.5).

    Cosines come first. Frequencies fall from 1 to 1/10000, which is excluded: diffusers'
    `flip_sin_to_cos=True, freq_shift=0`, which every Stable Diffusion uses.

    Args:
      values: [N] float32, such as timesteps 0..999.
      dim: even width of the result.

    Returns:
      [N, dim] float32.
    """
    half = dim // 2
    angles = _angles(values, half, math.log(10000.0) / half)
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def guidance_sinusoids(scale: Array, dim: int) -> Array:
    """Embeds the guidance scale of distilled models (Luo et al. 2023, "Latent Consistency Models").

    The paper's w is the scale minus 1; w times 1000 is embedded. Unlike with timesteps, sines come
    first and 1/10000 is included: the embedding of the VDM code that LCM was trained with.

    Args:
      scale: [B] float32 guidance scale, 1 for none.
      dim: even width of the result.

    Returns:
      [B, dim] float32.
    """
    half = dim // 2
    angles = _angles((scale - 1.0) * 1000.0, half, math.log(10000.0) / (half - 1))
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def _angles(values: Array, count: int, decay: float) -> Array:
    """[N] -> [N, count] float32, the values times frequencies 1, exp(-decay), ..."""
    frequencies = jnp.exp(-decay * jnp.arange(count, dtype=jnp.float32))
    return values.astype(jnp.float32)[:, None] * frequencies[None]


class TimestepEmbedding(nn.Module):
    """Two dense layers over a sinusoid, with the guidance scale of distilled models added."""

    dim: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        """[B, d] -> [B, dim]; `condition` [B, g] is projected onto the input without bias."""
        if condition is not None:
            project = dense(x.shape[-1], "cond_proj", self.dtype, use_bias=False)
            x = x + project(condition)
        x = silu(dense(self.dim, "linear_1", self.dtype)(x))
        return dense(self.dim, "linear_2", self.dtype)(x)
