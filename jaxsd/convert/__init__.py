"""PyTorch's files in and out: diffusers folders, single files, pickles. No torch, no JAX."""

from jaxsd.convert.api import open_model, read, write_diffusers, write_single_file
from jaxsd.convert.controlnet import read_controlnet, write_control_lora, write_controlnet
from jaxsd.convert.stored_model import StoredModel
from jaxsd.convert.tiny_vae import write_tiny_vae

__all__ = [
    "StoredModel",
    "open_model",
    "read",
    "read_controlnet",
    "write_control_lora",
    "write_controlnet",
    "write_diffusers",
    "write_single_file",
    "write_tiny_vae",
]
