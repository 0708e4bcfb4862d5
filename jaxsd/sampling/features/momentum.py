"""Guidance that an earlier row's is added to: what CFG++ needs with methods of two predictions."""

import jax.numpy as jnp

from jaxsd.sampling.call import Branches, Networks
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array


def combine(
    held: None, branches: Branches, combined: Array, step: Step, memory: Memory
) -> tuple[Array, Memory]:
    """Adds the guidance of the row before, in x0, by the column `momentum` [B].

    The table then reads the unguided prediction of that row: see `guidance.plus_plus`.
    """
    first = branches.outputs[:, 0]
    guidance = per_image(step.row.c_out, combined - first)
    guidance = guidance + per_image(step.columns["momentum"], memory["momentum"])
    total = first + per_image(1 / step.row.c_out, guidance)
    return total, memory | {"momentum": guidance}


def memory(networks: Networks, latents: Array, branches: int) -> Array:
    """Zeros like the latents [B, h, w, c]."""
    return jnp.zeros_like(latents)


FEATURE = Feature(combine=combine, memory=memory)
