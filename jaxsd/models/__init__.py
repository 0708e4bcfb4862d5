"""Stable Diffusion's networks and those that score it, as functions of parameters and arrays."""

from jaxsd.models.clip_vision import VisionEncoder, VisionOutput
from jaxsd.models.controlnet import ControlNet, controlnet_from_unet
from jaxsd.models.inception import Inception
from jaxsd.models.text import TextEncoder, TextOutput
from jaxsd.models.unet import Residuals, UNet
from jaxsd.models.vae import VAE

__all__ = [
    "VAE",
    "ControlNet",
    "Inception",
    "Residuals",
    "TextEncoder",
    "TextOutput",
    "UNet",
    "VisionEncoder",
    "VisionOutput",
    "controlnet_from_unet",
]
