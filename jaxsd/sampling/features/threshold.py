"""Dynamic thresholding (Saharia et al. 2022, "Imagen", section 2.3) of each estimate of x0."""

import jax
import jax.numpy as jnp

from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Step, per_image
from jaxsd.types import Array


def on_x0(x0: Array, step: Step) -> Array:
    """Cuts what is beyond a percentile of an image, and scales what is left into the range.

    The column `threshold` [B, 2] has the percentile, from 0 to 1, and the range R:
    with s = max(percentile of |x0|, R) the result is clip(x0, -s, s)*R/s. Imagen has R = 1.
    """
    percentile, limit = step.columns["threshold"].T
    sizes = jnp.abs(x0).reshape(len(x0), -1)
    s = jnp.maximum(jax.vmap(jnp.quantile)(sizes, percentile), limit)
    return per_image(limit, jnp.clip(per_image(1 / s, x0), -1, 1))


FEATURE = Feature(on_x0=on_x0)
