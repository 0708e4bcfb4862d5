"""Guidance rescale (Lin et al. 2024, "Common diffusion noise schedules [...] are flawed").

Strong guidance makes pictures too bright or too dark; this restores their contrast.
"""

import jax.numpy as jnp

from jaxsd.sampling.call import Branches
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.schedulers.guidance import PERTURBATIONS
from jaxsd.types import Array

LEAST = 1e-8
"""Of the sum's deviation, which is 0 in rows that `cfg_zero` leaves out."""


def combine(
    held: None, branches: Branches, combined: Array, step: Step, memory: Memory
) -> tuple[Array, Memory]:
    """Scales the sum towards the standard deviation of the prompt's output (equations 15 and 16).

    The column `rescale` [B] says how far, from 0 to 1; the last branch is the prompt's, or the
    last but one, in front of a perturbed branch.
    """
    last = -2 if any(name in step.columns for name in PERTURBATIONS) else -1
    share, axes = step.columns["rescale"], (1, 2, 3)
    ratio = branches.outputs[:, last].std(axes) / jnp.maximum(combined.std(axes), LEAST)
    return per_image(share * ratio + 1 - share, combined), memory


FEATURE = Feature(combine=combine)
