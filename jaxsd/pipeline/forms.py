"""Networks in other forms, by functions around them: in tiles, going around, in turn."""

from math import prod

from jaxsd.models.in_turn import InTurn
from jaxsd.models.one_by_one import OneByOne
from jaxsd.models.tiles import TiledVAE
from jaxsd.nn.circular import Circular
from jaxsd.pipeline.order import Order
from jaxsd.sampling.features import FEATURES
from jaxsd.sampling.program import Networks
from jaxsd.settings import Settings

LARGE = 96 * 96
"""Pixels of latents from which on maps take much memory beside the weights."""


def changed(networks: Networks, settings: Settings) -> Networks:
    """The networks as an image's settings want them; the same ones by default."""
    if settings.vae_tile:
        networks = networks._replace(vae=TiledVAE(networks.vae, settings.vae_tile))
    if (along := settings.seamless) != "none":
        networks = networks._replace(
            unet=Circular(networks.unet, along),
            vae=Circular(networks.vae, along),
            controlnets=tuple(Circular(net, along) for net in networks.controlnets),
        )
    if settings.motion:
        networks = networks._replace(vae=InTurn(networks.vae))
    return networks


def one_by_one(networks: Networks, order: Order) -> Networks:
    """The networks with a U-Net that takes one branch after the other, where that saves memory."""
    passes = [order] if order.later is None else [order, order.later]
    pixels = max(prod(one.given.noise.shape[1:3]) for one in passes)
    runs = [run for one in passes for run in one.runs]
    names = {*order.given.features, *(name for run in runs for name in run.columns)}
    inside = any(FEATURES[name].looks_inside for name in names & FEATURES.keys())
    if pixels < LARGE or inside:
        return networks
    return networks._replace(unet=OneByOne(networks.unet))
