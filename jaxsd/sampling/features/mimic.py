"""Dynamic thresholding of webui's extension "CFG Scale Fix", with a mimic scale.

Strong guidance makes latents too wide. They get the range that a weaker guidance would give them,
each channel around its mean. This is what the extension does with its defaults.
"""

import jax
import jax.numpy as jnp

from jaxsd.sampling.call import Branches
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Step, denoised, per_image
from jaxsd.types import Array

PIXELS = (1, 2)


def combine(
    held: None, branches: Branches, combined: Array, step: Step, memory: Memory
) -> tuple[Array, Memory]:
    """Brings the x0 of the sum into the range of the x0 that the mimic scale gives.

    The column `mimic` [B, 2] has the mimic scale over the guidance scale, and the percentile, from
    0 to 1, beyond which the sum is cut.
    """
    ratio, percentile = step.columns["mimic"].T
    first = branches.outputs[:, 0]
    weaker = first + per_image(ratio, combined - first)
    x0 = denoised(branches.x, combined, step.row)
    centred, goal = _centred(x0), _centred(denoised(branches.x, weaker, step.row))
    narrow = _width(goal, jnp.ones_like(percentile))
    widest = jnp.maximum(narrow, _width(centred, percentile))
    change = jnp.clip(centred, -widest, widest) * (narrow / widest) - centred
    return combined + per_image(1 / step.row.c_out, change), memory


def _centred(x0: Array) -> Array:
    return x0 - x0.mean(PIXELS, keepdims=True)


def _width(x: Array, percentile: Array) -> Array:
    """The percentile [B] of |x| in each channel, [B, 1, 1, c].

    Also for 1: the derivative of a maximum looks for the value again, and if that was rounded in
    another way there is none, which makes it NaN.
    """
    of_image = jax.vmap(lambda size, share: jnp.quantile(size, share, (0, 1), keepdims=True))
    return of_image(jnp.abs(x), percentile)


FEATURE = Feature(combine=combine)
