"""ControlNets (Zhang et al. 2023): their residuals are added inside the U-Net."""

import jax

from jaxsd.models.controlnet import HINT
from jaxsd.parallel import gather
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, branched
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array, Params


def hold(
    networks: Networks, params: Params, given: tuple[Array, ...], beginning: Beginning
) -> tuple[Array, ...]:
    """The features [B, h, w, c] of each ControlNet's pictures [B, H, W, 3] in [0, 1]."""
    return tuple(
        net.hint_network.apply({"params": _tree(networks, params, i)[HINT]}, image)
        for i, (net, image) in enumerate(zip(networks.controlnets, given, strict=True))
    )


def wrap(networks: Networks, params: Params, held: tuple[Array, ...], unet: UNetCall) -> UNetCall:
    """Adds the residuals of all ControlNets, weighted by the column `controlnet` [B, C]."""

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        total = call.residuals
        branches = len(call.x) // len(step.row.number)
        for i, (net, hint) in enumerate(zip(networks.controlnets, held, strict=True)):
            residuals = net.apply(
                {"params": _tree(networks, params, i)},
                call.x,
                call.timestep,
                call.context,
                hint=branched(hint, branches),
                pooled=call.pooled,
                time_ids=call.time_ids,
            )
            weight = branched(step.columns["controlnet"][:, i], branches)
            weighed = jax.tree.map(lambda a, weight=weight: per_image(weight, a), residuals)
            total = weighed if total is None else jax.tree.map(jax.numpy.add, total, weighed)
        return unet(call._replace(residuals=total), step, memory)

    return changed


def _tree(networks: Networks, params: Params, i: int) -> Params:
    return gather(params["controlnet"][i], f"controlnet/{i}", networks.mesh)


FEATURE = Feature(hold=hold, wrap=wrap)
