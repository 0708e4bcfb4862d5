"""Perturbed attention guidance (Ahn et al. 2024): away from a branch without self-attention."""

import jax.numpy as jnp

from jaxsd.sampling.features.perturbed import Attend, perturbed
from jaxsd.types import Array


def to_itself(last: Array, attend: Attend, q: Array, k: Array, v: Array) -> Array:
    """Each pixel of the last branch attends to itself alone."""
    return jnp.where(last, v, attend(q, k, v))


FEATURE = perturbed("pag", to_itself)
