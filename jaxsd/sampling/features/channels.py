"""Extra input channels of the U-Net: mask and masked picture, a picture to change, depth, or a
small picture.

Inpainting, depth and upscaling models (Rombach et al. 2022), InstructPix2Pix (Brooks et al. 2023).
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxsd.config import unscaled
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, branched, chosen
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.latents import MASKED, SMALL, latents_of, mean_of, noise_of
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array, Params


class Channels(NamedTuple):
    """The given arrays; also what the feature holds, with all channels in place of the image."""

    map: Array | None  # [B, h, w, 1] float32: a mask, 1 where to paint, or depth in [-1, 1]
    image: Array | None  # [B, H, W, 3] float32 in [-1, 1], 0 where to paint
    sees: Array | None = None  # [B, M] float32, factor of what a text's branch sees; None for all
    small: "Small | None" = None  # in place of the image


class Small(NamedTuple):
    """A picture as small as the latents, to which noise is added."""

    image: Array  # [B, h, w, 3] float32 in [-1, 1]
    weights: Array  # [B, 2] float32, of the picture and the noise
    level: Array  # [B] int32, what the U-Net is told of it


def hold(networks: Networks, params: Params, given: Channels, beginning: Beginning) -> Channels:
    """The channels [B, h, w, n], in the order in which these models are trained.

    A picture to change, which has no mask, is the mean of its posterior, and is not scaled. To a
    small picture the noise of its level is added (Ho et al. 2022, "Cascaded diffusion models").
    """
    if (small := given.small) is not None:
        noise = noise_of(beginning.keys, SMALL, small.image.shape[1:])
        noised = per_image(small.weights[:, 0], small.image) + per_image(small.weights[:, 1], noise)
        return given._replace(image=noised)
    if given.image is None:
        return given._replace(image=given.map)
    if given.map is None:
        mean = unscaled(networks.vae.config, mean_of(networks, params, given.image))
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
        label = call.label
        if held.small is not None:
            label = branched(held.small.level, len(call.x) // len(held.image))
        return unet(call._replace(x=x, label=label), step, memory)

    return changed


FEATURE = Feature(hold=hold, wrap=wrap)
