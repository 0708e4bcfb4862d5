"""Adaptive projected guidance (Sadat et al. 2024, "Eliminating oversaturation [...]", algorithm 1).

The part of guidance along the prompt's own x0 makes colours too strong; the rest is what helps.
"""

import jax.numpy as jnp

from jaxsd.sampling.call import Branches, Networks
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Step, denoised, per_image
from jaxsd.types import Array

IMAGE = (1, 2, 3)
LEAST = 1e-12
"""In place of a length that is 0."""


def combine(
    held: None, branches: Branches, combined: Array, step: Step, memory: Memory
) -> tuple[Array, Memory]:
    """Weakens the part of guidance along x0, bounds its length, and adds what was before.

    The column `apg` [B, 4] has the guidance scale, eta (weight of the part along x0), the largest
    length r (0 for any), and beta, the momentum. All is in x0, as in the paper.
    """
    scale, eta, r, beta = step.columns["apg"].T
    guided = denoised(branches.x, combined, step.row)
    negative = denoised(branches.x, branches.outputs[:, 0], step.row)
    change = per_image(1 / scale, guided - negative)
    prompt = negative + change
    change = change + per_image(beta, memory["apg"])
    memory = memory | {"apg": change}
    change = per_image(jnp.where(r > 0, jnp.minimum(1, r / _length(change)), 1), change)
    along = per_image((change * prompt).sum(IMAGE) / _length(prompt) ** 2, prompt)
    x0 = prompt + per_image(scale - 1, change + per_image(eta - 1, along))
    return combined + per_image(1 / step.row.c_out, x0 - guided), memory


def memory(networks: Networks, latents: Array, branches: int) -> Array:
    """Zeros like the latents [B, h, w, c]: no guidance before the first row."""
    return jnp.zeros_like(latents)


def _length(x: Array) -> Array:
    """[B] of [B, h, w, c]."""
    return jnp.sqrt(jnp.maximum((x**2).sum(IMAGE), LEAST))


FEATURE = Feature(combine=combine, memory=memory)
