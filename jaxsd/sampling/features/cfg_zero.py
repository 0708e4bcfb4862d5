"""CFG-Zero* (Fan et al. 2025, sections 4.1 and 4.2): optimised scale and zero-init."""

from jaxsd.sampling.call import Branches
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array

IMAGE = (1, 2, 3)
LEAST = 1e-8


def combine(
    held: None, branches: Branches, combined: Array, step: Step, memory: Memory
) -> tuple[Array, Memory]:
    """Scales the negative's output u by s = <c, u>/|u|^2, and leaves the first rows out.

    The sum is then s*u + w*(c - s*u), where c is the prompt's output. The column `cfg_zero` [B, 2]
    has the guidance scale w, and 0 in rows whose output is 0, else 1.
    """
    w, counts = step.columns["cfg_zero"].T
    negative = branches.outputs[:, 0]
    prompt = negative + per_image(1 / w, combined - negative)
    s = (prompt * negative).sum(IMAGE) / ((negative**2).sum(IMAGE) + LEAST)
    combined = combined + per_image((1 - w) * (s - 1), negative)
    return per_image(counts, combined), memory


FEATURE = Feature(combine=combine)
