"""The three networks of Stable Diffusion, each a function of parameters and arrays."""

from jaxsd.models.text import TextEncoder, TextOutput
from jaxsd.models.unet import UNet
from jaxsd.models.vae import VAE

__all__ = ["VAE", "TextEncoder", "TextOutput", "UNet"]
