"""Extra input channels of the U-Net: mask and masked picture, a picture to change, or depth.

Inpainting and depth models (Rombach et al. 2022) and InstructPix2Pix (Brooks et al. 2023).
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, branched, chosen
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.latents import MASKED, latents_of, mean_of
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array, Params


class Channels(NamedTuple):
    """The given arrays; also what the feature holds, with all channels in place of the image."""

    map: Array | None  # [B, h, w, 1] float32: a mask, 1 where to paint, or depth in [-1, 1]
    image: Array | None  # [B, H, W, 3] float32 in [-1, 1], 0 where to paint
    sees: Array | None = None  # [B, M] float32, 0 for texts whose branch sees zeros; None for all


def hold(networks: Networks, params: Params, given: Channels, beginning: Beginning) -> Channels:
    """The channels [B, h, w, n], in the order in which these models are trained.

    A picture to change, which has no mask, is the mean of its posterior, and is not scaled.
    """
    if given.image is None:
        return given._replace(image=given.map)
    if given.map is None:
        mean = mean_of(networks, params, given.image) / networks.vae.config.scaling_factor
        return given._replace(image=mean)
    latents = latents_of(networks, params, given.image, beginning.keys, MASKED, beginning.draws)
    return given._replace(image=jnp.concatenate([given.map, latents], axis=-1))


def wrap(networks: Networks, params: Params, held: Channels, unet: UNetCall) -> UNetCall:
    """Appends the channels to the latents."""

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        channels = branched(held.image, len(call.x) // len(held.image))
        if held.sees is not None:
            channels = per_image(chosen(held.sees, step.columns["which"]), channels)
        x = jnp.concatenate([call.x, call.seen(channels)], axis=-1)
        return unet(call._replace(x=x), step, memory)

    return changed


FEATURE = Feature(hold=hold, wrap=wrap)
