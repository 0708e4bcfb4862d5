"""DeepCache (Ma et al. 2024): most rows run only the outermost level of the U-Net."""

import jax
import jax.numpy as jnp

from jaxsd.sampling.call import Answer, Call, Networks, UNetCall
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Step
from jaxsd.types import Array, Params


def wrap(networks: Networks, params: Params, held: None, unet: UNetCall) -> UNetCall:
    """Uses the deep features of the previous row, except where the column `reuse` [B] is true.

    A batch refreshes them for all images if the column is true for one image.
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


FEATURE = Feature(wrap=wrap, memory=memory, of_batch=True)
