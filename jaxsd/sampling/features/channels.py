"""Extra input channels of inpainting models: the mask and the masked picture."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, branched
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.latents import MASKED, latents_of
from jaxsd.sampling.loop import Memory, Step
from jaxsd.types import Array, Params


class Channels(NamedTuple):
    """The given arrays."""

    mask: Array  # [B, h, w, 1] float32, 1 where to paint
    image: Array  # [B, H, W, 3] float32 in [-1, 1], 0 where to paint


def hold(networks: Networks, params: Params, given: Channels, beginning: Beginning) -> Array:
    """The channels [B, h, w, 1 + c], in the order in which these models are trained."""
    latents = latents_of(networks, params, given.image, beginning.keys, MASKED, beginning.draws)
    return jnp.concatenate([given.mask, latents], axis=-1)


def wrap(networks: Networks, params: Params, held: Array, unet: UNetCall) -> UNetCall:
    """Appends the channels to the latents."""

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        channels = branched(held, len(call.x) // len(held))
        x = jnp.concatenate([call.x, channels], axis=-1)
        return unet(call._replace(x=x), step, memory)

    return changed


FEATURE = Feature(hold=hold, wrap=wrap)
