"""The U-Net of Stable Diffusion over arrays, which may be told what is known of them."""

import jax
import jax.numpy as jnp

from jaxsd.arrays.spec import ArraySpec
from jaxsd.models import UNet
from jaxsd.types import Array, Params


def network_of(spec: ArraySpec, dtype: str = "float32", remat: str = "none") -> UNet:
    """The network, which computes in this dtype."""
    return UNet(spec.unet, jnp.dtype(dtype), remat)


def new_params(unet: UNet, spec: ArraySpec, key: Array) -> Params:
    """Random weights (key consumed)."""
    x = jnp.zeros((1, *spec.sides, unet.config.in_channels))
    return jax.jit(unet.init)(key, x, jnp.zeros(1), empty_text(x))["params"]


def predicted(
    unet: UNet, params: Params, x: Array, timestep: Array, known: Array, mask: Array
) -> Array:
    """What the network gives for noisy arrays.

    Args:
      unet: as `network_of` makes it; it may have no inputs for what is known.
      params: its weights.
      x: [B, h, w, C] float32.
      timestep: [] or [B], 0..999.
      known: [B, h, w, C] standardised; only where `mask` is 1 does it matter.
      mask: [B, h, w, C] float32, 1 where a number is known, else 0.

    Returns:
      [B, h, w, C] float32.
    """
    if unet.config.in_channels > unet.config.out_channels:
        x = jnp.concatenate([x, mask * known, mask], axis=-1)
    return unet.apply({"params": params}, x, timestep, empty_text(x))


def empty_text(x: Array) -> Array:
    """A text [B, 1, 1] that says nothing."""
    return jnp.zeros((len(x), 1, 1))
