"""Inpainting with any model: outside of the mask each sample is the source at the same noise level.

Lugmayr et al. 2022 ("RePaint", equation 8), with the noise that the drawing began with. For a map
of change (Levin and Fried 2023, "Differential Diffusion") the mask is hard, and grows by the rows.
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxsd.sampling.call import Networks
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.loop import Hook, Step, per_image
from jaxsd.types import Array, Params


class Blend(NamedTuple):
    """What the feature holds."""

    mask: Array  # [B, h, w, 1] float32, 1 where to paint
    source: Array  # [B, h, w, c] float32 scaled latents
    noise: Array  # [B, h, w, c] float32, unit variance


def hold(networks: Networks, params: Params, given: Array, beginning: Beginning) -> Blend:
    """The given mask [B, h, w, 1], with the source and the noise of the beginning."""
    assert beginning.source is not None, "blending needs a picture"
    return Blend(given, beginning.source, beginning.noise)


def on_sample(held: Blend) -> Hook:
    """Puts the source back where the mask is 0.

    The column `blend` [B, 5] has the weights of the source and of the noise at the sample's level;
    then 1, or 0 in an idle row, so that soft edges are not blended again there; then a grey and a
    gain: what is painted is the mask beyond the grey, times the gain, 0 to 1.
    """

    def blended(z: Array, step: Step) -> Array:
        weights = step.columns["blend"]
        level = per_image(weights[:, 0], held.source) + per_image(weights[:, 1], held.noise)
        beyond = held.mask - weights[:, 3, None, None, None]
        painted = jnp.clip(per_image(weights[:, 4], beyond), 0, 1)
        kept = per_image(weights[:, 2], 1 - painted)
        return (1 - kept) * z + kept * level

    return blended


FEATURE = Feature(hold=hold, on_sample=on_sample)
