"""Norms whose statistics are float32 and two-pass, whatever the compute dtype."""

import jax.numpy as jnp
from flax import linen as nn


def group_norm(groups: int, epsilon: float, name: str, dtype: jnp.dtype) -> nn.GroupNorm:
    """Group normalisation over channels in groups (Wu and He 2018, equation 1).

    The variance is the mean of squared differences: E[x^2] - E[x]^2 loses bits where the mean is
    large, as in the VAE.
    """
    return nn.GroupNorm(
        num_groups=groups, epsilon=epsilon, dtype=dtype, use_fast_variance=False, name=name
    )


def layer_norm(name: str, dtype: jnp.dtype) -> nn.LayerNorm:
    """Layer normalisation with epsilon 1e-5, as everywhere in Stable Diffusion."""
    return nn.LayerNorm(epsilon=1e-5, dtype=dtype, use_fast_variance=False, name=name)
