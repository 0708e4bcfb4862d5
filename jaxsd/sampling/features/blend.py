"""Inpainting with any model: outside of the mask each sample is the source at the same noise level.

Lugmayr et al. 2022 ("RePaint", equation 8), with the noise that the drawing began with.
"""

from typing import NamedTuple

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

    The column `blend` [B, 3] has the weights of the source and of the noise at the sample's level,
    and then 1, or 0 in an idle row, so that soft edges are not blended again there.
    """

    def blended(z: Array, step: Step) -> Array:
        weights = step.columns["blend"]
        level = per_image(weights[:, 0], held.source) + per_image(weights[:, 1], held.noise)
        kept = per_image(weights[:, 2], 1 - held.mask)
        return (1 - kept) * z + kept * level

    return blended


FEATURE = Feature(hold=hold, on_sample=on_sample)
