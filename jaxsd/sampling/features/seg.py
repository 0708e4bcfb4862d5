"""Smoothed energy guidance (Hong 2024): away from a branch whose queries are blurred.

The blur is infinite, as the paper proposes: all queries are their mean.
"""

import jax.numpy as jnp

from jaxsd.sampling.features.perturbed import Attend, perturbed
from jaxsd.types import Array


def by_the_mean(last: Array, attend: Attend, q: Array, k: Array, v: Array) -> Array:
    """All pixels of the last branch have the same query."""
    return attend(jnp.where(last, q.mean(axis=1, keepdims=True), q), k, v)


FEATURE = perturbed("seg", by_the_mean)
