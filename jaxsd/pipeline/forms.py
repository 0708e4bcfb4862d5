"""Networks in other forms, by functions around them: in tiles, going around, in turn."""

from jaxsd.models.in_turn import InTurn
from jaxsd.models.tiles import TiledVAE
from jaxsd.nn.circular import Circular
from jaxsd.sampling.program import Networks
from jaxsd.settings import Settings


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
