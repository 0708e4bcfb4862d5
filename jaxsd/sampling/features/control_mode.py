"""Which counts more, the prompt or the ControlNets: guess mode, and webui's control modes."""

import jax.numpy as jnp

from jaxsd.models import Residuals
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array, Params


def hold(networks: Networks, params: Params, given: Array, beginning: Beginning) -> Array:
    """How many of an image's texts, the first ones, are negative prompts: [B] int32."""
    return given


def wrap(networks: Networks, params: Params, held: Array, unet: UNetCall) -> UNetCall:
    """Weakens what ControlNets add, each skip by its own factor.

    The column `control_mode` [B, 1 + L] has the factor for the branches of negative prompts, and
    those of the L - 1 skips and the middle.
    """

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        if call.residuals is None:  # T2I-Adapters have none
            return unet(call, step, memory)
        column, shows = step.columns["control_mode"], step.columns["which"] >= held[:, None]
        branch = jnp.where(shows, 1, column[:, :1])[..., None]  # [B, K, 1]
        *down, middle = (branch * column[:, None, 1:]).reshape(len(call.x), -1).T
        residuals = Residuals(
            tuple(map(per_image, down, call.residuals.down)), per_image(middle, call.residuals.mid)
        )
        return unet(call._replace(residuals=residuals), step, memory)

    return changed


FEATURE = Feature(hold=hold, wrap=wrap)
