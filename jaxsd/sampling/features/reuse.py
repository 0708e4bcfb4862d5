"""DeepCache (Ma et al. 2024): in most rows the outermost level of the U-Net runs alone."""

import jax
import jax.numpy as jnp

from jaxsd.sampling.call import Answer, Call, Networks, UNetCall
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Step
from jaxsd.types import Array, Params


def wrap(networks: Networks, params: Params, held: None, unet: UNetCall) -> UNetCall:
    """Uses the deep features of the row before, but where the column `reuse` [B] says refresh.

    A batch has one plan: it refreshes for all images if one asks.
    """

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        def refresh() -> tuple[Answer, Memory]:
            return unet(call, step, memory)

        def again() -> tuple[Answer, Memory]:
            return unet(call._replace(deep=memory["reuse"]), step, memory)

        answer, memory = jax.lax.cond(step.columns["reuse"].any(), refresh, again)
        return answer, memory | {"reuse": answer.deep}

    return changed


def memory(networks: Networks, latents: Array, branches: int) -> Array:
    """Zeros in the shape of the deep features, for latents [B, h, w, c]."""
    unet, (batch, height, width, _) = networks.unet, latents.shape
    return jnp.zeros((batch * branches, height, width, unet.config.deep_channels), unet.dtype)


FEATURE = Feature(wrap=wrap, memory=memory)
