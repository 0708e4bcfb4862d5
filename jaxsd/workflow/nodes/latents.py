"""Nodes of latents: empty ones, of pictures, to pictures, in other sizes."""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np

from jaxsd.workflow.networks import cropped, decoded, encoded
from jaxsd.workflow.resizing import LATENT_METHODS, common_upscale, resized
from jaxsd.workflow.schema import MAX_RESOLUTION, Choice, Pixels, Range, node
from jaxsd.workflow.values import IMAGE, LATENT, MASK, VAE, Latent

UNIT, CHANNELS = 8, 4
"""Of latents in ComfyUI."""
MOST = 4096
Method = Annotated[str, Choice(LATENT_METHODS)]
Crop = Literal["disabled", "center"]
Tile = Annotated[int, Range(64, 4096)]
Frames = Annotated[int, Range(4, 4096)]


@node("EmptyLatentImage", "LATENT")
def empty_latent_image(
    *,
    width: Annotated[int, Range(16, MAX_RESOLUTION)] = 512,
    height: Annotated[int, Range(16, MAX_RESOLUTION)] = 512,
    batch_size: Annotated[int, Range(1, MOST)] = 1,
) -> Latent:
    """Nothing, in the size of a batch of pictures."""
    return Latent(np.zeros((batch_size, height // UNIT, width // UNIT, CHANNELS), np.float32))


@node("VAEDecode", "IMAGE")
def vae_decode(*, samples: LATENT, vae: VAE) -> np.ndarray:
    """The pictures of latents."""
    return decoded(vae, samples.samples)


@node("VAEDecodeTiled", "IMAGE")
def vae_decode_tiled(
    *,
    samples: LATENT,
    vae: VAE,
    tile_size: Tile = 512,
    overlap: Annotated[int, Range(0, 4096)] = 64,
    temporal_size: Frames = 64,
    temporal_overlap: Frames = 8,
) -> np.ndarray:
    """The same in tiles, which overlap by a quarter whatever `overlap` says."""
    return decoded(vae, samples.samples, tile_size)


@node("VAEEncode", "LATENT")
def vae_encode(*, pixels: IMAGE, vae: VAE) -> Latent:
    """The latents of pictures."""
    return Latent(encoded(vae, pixels))


@node("VAEEncodeTiled", "LATENT")
def vae_encode_tiled(
    *,
    pixels: IMAGE,
    vae: VAE,
    tile_size: Tile = 512,
    overlap: Annotated[int, Range(0, 4096)] = 64,
    temporal_size: Frames = 64,
    temporal_overlap: Frames = 8,
) -> Latent:
    """The same in tiles, which overlap by a quarter whatever `overlap` says."""
    return Latent(encoded(vae, pixels, tile_size))


@node("VAEEncodeForInpaint", "LATENT")
def vae_encode_for_inpaint(
    *, pixels: IMAGE, vae: VAE, mask: MASK, grow_mask_by: Annotated[int, Range(0, 64)] = 6
) -> Latent:
    """The latents of pictures that are grey where the mask is, and the mask, grown."""
    unit = vae.spec.vae.downscale
    mask = resized(mask[..., None], *pixels.shape[1:3], "bilinear")[..., 0]
    pixels, mask = cropped(pixels, unit), np.round(cropped(mask, unit))
    grey = (pixels - 0.5) * (1 - mask[..., None]) + 0.5
    return Latent(encoded(vae, grey), grown(mask, grow_mask_by))


def grown(mask: np.ndarray, by: int) -> np.ndarray:
    """A binary mask [B, H, W] that is white where it was within a square of this side.

    A square of an even side reaches one pixel further up and left, as ComfyUI's convolution.
    """
    if by == 0:
        return mask
    before = -(-(by - 1) // 2)
    padded = np.pad(mask, ((0, 0), (before, by), (before, by)))
    height, width = mask.shape[1:]
    rows = np.max([padded[:, k : k + height] for k in range(by)], axis=0)
    return np.max([rows[:, :, k : k + width] for k in range(by)], axis=0)


@node("SetLatentNoiseMask", "LATENT")
def set_latent_noise_mask(*, samples: LATENT, mask: MASK) -> Latent:
    """Latents that are drawn where the mask is white."""
    return replace(samples, mask=mask)


@node("LatentUpscale", "LATENT")
def latent_upscale(
    *,
    samples: LATENT,
    upscale_method: Method,
    width: Pixels = 512,
    height: Pixels = 512,
    crop: Crop,
) -> Latent:
    """Latents in another size; a side of 0 follows from the other."""
    if width == 0 and height == 0:
        return samples
    rows, columns = samples.samples.shape[1:3]
    if width == 0:
        height = max(64, height)
        width = max(64, round(columns * height / rows))
    elif height == 0:
        width = max(64, width)
        height = max(64, round(rows * width / columns))
    else:
        width, height = max(64, width), max(64, height)
    size = (height // UNIT, width // UNIT)
    return replace(samples, samples=common_upscale(samples.samples, *size, upscale_method, crop))


@node("LatentUpscaleBy", "LATENT")
def latent_upscale_by(
    *, samples: LATENT, upscale_method: Method, scale_by: Annotated[float, Range(0.01, 8)] = 1.5
) -> Latent:
    """Latents enlarged."""
    size = (round(side * scale_by) for side in samples.samples.shape[1:3])
    return replace(samples, samples=resized(samples.samples, *size, upscale_method))
