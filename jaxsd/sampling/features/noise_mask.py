"""Inpainting as in ComfyUI: the network sees the noised source outside of the mask, and says it.

So the method goes on from what it had itself; `blend` replaces that after each row.
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxsd.sampling.call import Networks
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.loop import Memory, Network, Step, denoised, per_image
from jaxsd.types import Array, Params


class NoiseMask(NamedTuple):
    """What the feature holds."""

    mask: Array  # [B, h, w, 1] float32, 1 where to draw
    source: Array  # [B, h, w, c] float32 scaled latents
    noise: Array  # [B, h, w, c] float32, unit variance


def hold(networks: Networks, params: Params, given: Array, beginning: Beginning) -> NoiseMask:
    """The given mask [B, h, w, 1], with the source and the noise of the beginning."""
    assert beginning.source is not None, "a noise mask needs latents"
    return NoiseMask(given, beginning.source, beginning.noise)


def around(held: NoiseMask, network: Network) -> Network:
    """The network with the source outside of the mask, in what it sees and in its x0.

    The column `noise_mask` [B, 2] has a grey and whether it counts: then what is drawn is where the
    mask is as bright as that, or brighter.
    """

    def masked(x: Array, step: Step, memory: Memory) -> tuple[Array, Memory]:
        row, (grey, is_hard) = step.row, step.columns["noise_mask"].T[:, :, None, None, None]
        mask = jnp.where(is_hard > 0, held.mask >= grey, held.mask)
        level = per_image(row.level[:, 0], held.source) + per_image(row.level[:, 1], held.noise)
        seen = mask * x + (1 - mask) * per_image(row.c_in, level)
        output, memory = network(seen, step, memory)
        x0 = mask * denoised(seen, output, row) + (1 - mask) * held.source
        return per_image(1 / row.c_out, x0 - per_image(row.c_skip / row.c_in, x)), memory

    return masked


FEATURE = Feature(hold=hold, around=around)
