"""Guidance rescale (Lin et al. 2024, "Common diffusion noise schedules [...] are flawed").

Strong guidance makes pictures too bright or too dark; this brings their contrast back.
"""

from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Step, per_image
from jaxsd.types import Array


def combine(outputs: Array, combined: Array, step: Step) -> Array:
    """Equations 15 and 16: the standard deviation of the prompt's own output, by a share.

    The share is the column `rescale` [B]; the last branch is the prompt's.
    """
    share, axes = step.columns["rescale"], (1, 2, 3)
    ratio = outputs[:, -1].std(axes) / combined.std(axes)
    return per_image(share * ratio + 1 - share, combined)


FEATURE = Feature(combine=combine)
