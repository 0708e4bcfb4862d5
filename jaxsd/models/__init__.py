"""The networks of Stable Diffusion, each a function of parameters and arrays."""

from jaxsd.models.controlnet import ControlNet, controlnet_from_unet
from jaxsd.models.text import TextEncoder, TextOutput
from jaxsd.models.unet import Residuals, UNet
from jaxsd.models.vae import VAE

__all__ = [
    "VAE",
    "ControlNet",
    "Residuals",
    "TextEncoder",
    "TextOutput",
    "UNet",
    "controlnet_from_unet",
]
