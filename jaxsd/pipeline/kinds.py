"""What comes of a drawing: pictures of several libraries, or latents; and pictures to latents."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.images import as_pillow, check_uint8, from_uint8, to_uint8
from jaxsd.pipeline.batches import placed
from jaxsd.pipeline.drawing import Programs
from jaxsd.sampling.program import decode, encode_images
from jaxsd.typed import nearest
from jaxsd.types import Array

Rounded = Callable[[], np.ndarray]
"""Makes the rounded pictures of a drawing, uint8 [B, H, W, 3]."""


def np_pictures(images: Array, latents: Array, rounded: Rounded) -> np.ndarray:
    """uint8 [B, H, W, 3], with kept pixels pasted back."""
    return rounded()


def pil_pictures(images: Array, latents: Array, rounded: Rounded) -> list[Any]:
    """The same as pictures of Pillow."""
    return as_pillow(rounded())


def jax_pictures(images: Array, latents: Array, rounded: Rounded) -> jax.Array:
    """float32 [B, H, W, 3] in [0, 1] on the device, neither rounded nor pasted."""
    return jnp.clip(images / 2 + 0.5, 0, 1)


def scaled_latents(images: Array, latents: Array, rounded: Rounded) -> Array:
    """float32 [B, h, w, c] on the device, as the loop ends with."""
    return latents


OUTPUT_TYPES: dict[str, Callable[[Array, Array, Rounded], Any]] = {
    "np": np_pictures,
    "pil": pil_pictures,
    "jax": jax_pictures,
    "latent": scaled_latents,
}
"""`output_type` -> what makes it of unrounded images, latents, and the rounded pictures."""


def output_of(name: str) -> Callable[[Array, Array, Rounded], Any]:
    """A function of `OUTPUT_TYPES`.

    Raises:
      ValueError: another name.
    """
    if name not in OUTPUT_TYPES:
        raise ValueError(f"output_type {name!r} is unknown; {nearest(str(name), OUTPUT_TYPES)}")
    return OUTPUT_TYPES[name]


def encoded(programs: Programs, images: Sequence[np.ndarray] | np.ndarray, batch: int) -> Array:
    """Scaled latents [B, h, w, c] float32 of pictures, the mean of the autoencoder's posterior.

    Args:
      programs: of a pipeline.
      images: uint8 [B, H, W, 3], whose sides are multiples of the autoencoder's factor.
      batch: pictures of a call, B or more.

    Raises:
      ValueError: another dtype, shape or size.
    """
    images = np.asarray(images)
    check_uint8("images", images)
    unit = programs.networks.vae.config.downscale
    if images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise ValueError(f"images have shape {list(images.shape)}; [B, H, W, 3] is needed")
    if any(side % unit for side in images.shape[1:3]):
        height, width = images.shape[1:3]
        raise ValueError(f"images are {width}x{height}; both sides must be multiples of {unit}")
    call = programs.of_decoder
    padded = placed(_padded(from_uint8(images), batch), programs.networks.mesh)
    return call(encode_images, images=padded)[: len(images)]


def pictures_of(programs: Programs, latents: Array, batch: int) -> np.ndarray:
    """Pictures uint8 [B, H, W, 3] of scaled latents.

    Args:
      programs: of a pipeline.
      latents: float [B, h, w, c].
      batch: pictures of a call, B or more.

    Raises:
      ValueError: another shape.
      FloatingPointError: what was decoded is not finite.
    """
    channels = programs.networks.vae.config.latent_channels
    if np.ndim(latents) != 4 or latents.shape[-1] != channels or not latents.size:
        raise ValueError(f"latents have shape {np.shape(latents)}; give [B, h, w, {channels}]")
    padded = placed(_padded(np.asarray(latents, np.float32), batch), programs.networks.mesh)
    images = np.asarray(programs.of_decoder(decode, latents=padded))[: len(latents)]
    if not np.isfinite(images).all():
        raise FloatingPointError("the autoencoder's output was not finite; try dtype float32")
    return to_uint8(images)


def _padded(images: np.ndarray, batch: int) -> np.ndarray:
    return np.concatenate([images, *[images[-1:]] * (batch - len(images))])
