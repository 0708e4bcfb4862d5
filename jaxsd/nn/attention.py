"""Scaled dot-product attention: one function, whatever formulation runs underneath."""

import jax
import jax.numpy as jnp

from jaxsd.types import Array


def attention(q: Array, k: Array, v: Array, mask: Array | None = None) -> Array:
    """Attends from every query to every key (Vaswani et al. 2017, equation 1).

    Logits are accumulated and normalised in float32 whatever the dtype of the inputs, which is what
    `upcast_attention` of SD 2.1-v asks for.

    Args:
      q: [B, L, heads, d] queries.
      k: [B, M, heads, d] keys.
      v: [B, M, heads, d] values.
      mask: [L, M] bool, True where a query may look; None for everywhere.

    Returns:
      [B, L, heads, d], dtype of `q`.
    """
    scale = q.shape[-1] ** -0.5
    logits = jnp.einsum("blhd,bmhd->bhlm", q * scale, k, preferred_element_type=jnp.float32)
    if mask is not None:
        logits = jnp.where(mask[None, None], logits, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(logits, axis=-1).astype(v.dtype)
    out = jnp.einsum("bhlm,bmhd->blhd", weights, v, preferred_element_type=jnp.float32)
    return out.astype(q.dtype)
