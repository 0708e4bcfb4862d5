"""Activations that are computed in float32 at least, and rounded once.

In bfloat16 each operation inside of them would be rounded, which takes most of the time on a CPU.
"""

import jax
import jax.numpy as jnp

from jaxsd.types import Array


def silu(x: Array) -> Array:
    """X sigmoid(x) (Hendrycks and Gimpel 2016, section 3.3), in the dtype of `x`."""
    return jax.nn.silu(_wide(x)).astype(x.dtype)


def gated(value: Array, gate: Array) -> Array:
    """`value` times the exact (erf) GELU of `gate`, in the dtype of `value`."""
    return (_wide(value) * jax.nn.gelu(_wide(gate), approximate=False)).astype(value.dtype)


def _wide(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
