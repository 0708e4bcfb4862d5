"""GLIGEN (Li et al. 2023): boxes with texts, by a gated layer in each transformer block."""

from collections.abc import Callable
from functools import reduce
from operator import getitem
from typing import NamedTuple

import jax.numpy as jnp

from jaxsd.models.gligen import GatedSelfAttention, PositionNet, heads_of
from jaxsd.models.openings import Path, between_by
from jaxsd.parallel import gather
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, chosen
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.loop import Memory, Step
from jaxsd.types import Array, Params


class Boxes(NamedTuple):
    """Given are N boxes, beside each of an image's M texts."""

    texts: Array  # [B, M, N, d] float32, pooled and not projected
    boxes: Array  # [B, M, N, 4] float32, left, top, right, bottom as shares of the picture
    there: Array  # [B, M, N] bool, False for a learnt token in place of a box
    used: Array  # [B, M] bool, False where the U-Net runs without the gated layers


class Grounding(NamedTuple):
    """What is held."""

    tokens: Array  # [B, M, N, context_dim] float32
    used: Array  # [B, M] bool


def hold(networks: Networks, params: Params, given: Boxes, beginning: Beginning) -> Grounding:
    """The tokens of boxes: they stay the same in every row."""
    net = PositionNet(networks.unet.config.context_dim)
    tree = gather(params["position_net"], "position_net", networks.mesh)
    flat = [one.reshape(-1, *one.shape[2:]) for one in (given.texts, given.boxes, given.there)]
    tokens = net.apply({"params": tree}, *flat)
    return Grounding(tokens.reshape(*given.there.shape, -1), given.used)


def wrap(networks: Networks, params: Params, held: Grounding, unet: UNetCall) -> UNetCall:
    """The U-Net with a gated layer between the attentions of each transformer block."""
    layers = gather(params["fusers"], "fusers", networks.mesh)
    config, dtype = networks.unet.config, networks.unet.dtype

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        tokens, used = (chosen(one, step.columns["which"]) for one in held)

        def ground(path: Path, between: Callable[[Array], Array], x: Array) -> Array:
            x, own = between(x), reduce(getitem, path, layers)["fuser"]
            layer = GatedSelfAttention(heads_of(config, path[0]), dtype, parent=None)
            return jnp.where(used[:, None, None], layer.apply({"params": own}, x, tokens), x)

        with between_by(ground):
            return unet(call, step, memory)

    return changed


FEATURE = Feature(hold=hold, wrap=wrap)
