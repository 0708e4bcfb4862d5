"""Nodes of latents: empty ones, of pictures, to pictures, in other sizes, put together."""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np

from jaxsd.workflow.arrays import repeated
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
Count = Annotated[int, Range(1, 64)]


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


@node("LatentComposite", "LATENT")
def latent_composite(
    *,
    samples_to: LATENT,
    samples_from: LATENT,
    x: Pixels = 0,
    y: Pixels = 0,
    feather: Pixels = 0,
) -> Latent:
    """Latents put over others, with edges that fade."""
    to, other = samples_to.samples.copy(), samples_from.samples
    x, y, feather = x // UNIT, y // UNIT, feather // UNIT
    part = to[:, y : y + other.shape[1], x : x + other.shape[2]]
    own = repeated(other, len(to))[:, : part.shape[1], : part.shape[2]]
    share = np.ones((*other.shape[1:3], 1), np.float32)
    for t in range(min(feather, *other.shape[1:3])):
        level = (t + 1) / feather
        if y != 0:
            share[t] *= level
        if y + other.shape[1] < to.shape[1]:
            share[-1 - t] *= level
        if x != 0:
            share[:, t] *= level
        if x + other.shape[2] < to.shape[2]:
            share[:, -1 - t] *= level
    share = share[: part.shape[1], : part.shape[2]]
    part[...] = own * share + part * (1 - share)
    return replace(samples_to, samples=to)


@node("LatentBlend", "LATENT")
def latent_blend(
    *, samples1: LATENT, samples2: LATENT, blend_factor: Annotated[float, Range(0, 1)] = 0.5
) -> Latent:
    """A share of the first latents, and the rest of the second ones in their size."""
    first = samples1.samples
    other = common_upscale(samples2.samples, *first.shape[1:3], "bicubic", "center")
    return replace(samples1, samples=first * blend_factor + other * (1 - blend_factor))


@node("LatentFromBatch", "LATENT")
def latent_from_batch(
    *, samples: LATENT, batch_index: Annotated[int, Range(0, 63)] = 0, length: Count = 1
) -> Latent:
    """Some of a batch, which keep their places and so their noise."""
    count = len(samples.samples)
    first = min(count - 1, batch_index)
    part = slice(first, min(first + length, count))
    numbers = samples.numbers or tuple(range(count))
    mask = samples.mask
    if mask is not None and len(mask) > 1:
        mask = repeated(mask, count)[part]
    return Latent(samples.samples[part], mask, numbers[part])


@node("RepeatLatentBatch", "LATENT")
def repeat_latent_batch(*, samples: LATENT, amount: Count = 1) -> Latent:
    """A batch so many times."""
    made = np.concatenate([samples.samples] * amount)
    mask, numbers = samples.mask, samples.numbers
    if mask is not None and len(mask) > 1:
        mask = np.concatenate([repeated(mask, len(samples.samples))] * amount)
    if numbers is not None:
        offset = max(numbers) - min(numbers) + 1
        numbers = tuple(number + i * offset for i in range(amount) for number in numbers)
    return Latent(made, mask, numbers)


@node("LatentBatch", "LATENT")
def latent_batch(*, samples1: LATENT, samples2: LATENT) -> Latent:
    """Both batches as one."""
    first = samples1.samples
    other = common_upscale(samples2.samples, *first.shape[1:3], "bilinear", "center")
    numbers = [one.numbers or tuple(range(len(one.samples))) for one in (samples1, samples2)]
    return replace(
        samples1, samples=np.concatenate([first, other]), numbers=numbers[0] + numbers[1]
    )


@node("LatentFlip", "LATENT")
def latent_flip(
    *, samples: LATENT, flip_method: Literal["x-axis: vertically", "y-axis: horizontally"]
) -> Latent:
    """Latents in a mirror."""
    axis = 1 if flip_method.startswith("x") else 2
    return replace(samples, samples=np.flip(samples.samples, axis))


@node("LatentRotate", "LATENT")
def latent_rotate(
    *, samples: LATENT, rotation: Literal["none", "90 degrees", "180 degrees", "270 degrees"]
) -> Latent:
    """Latents turned to the right."""
    quarters = int(rotation.partition(" ")[0]) // 90 if rotation != "none" else 0
    return replace(samples, samples=np.rot90(samples.samples, -quarters, (1, 2)))


@node("LatentCrop", "LATENT")
def latent_crop(
    *,
    samples: LATENT,
    width: Annotated[int, Range(64, MAX_RESOLUTION)] = 512,
    height: Annotated[int, Range(64, MAX_RESOLUTION)] = 512,
    x: Pixels = 0,
    y: Pixels = 0,
) -> Latent:
    """A part of latents."""
    rows, columns = samples.samples.shape[1:3]
    x, y = min(x // UNIT, columns - 8), min(y // UNIT, rows - 8)
    part = samples.samples[:, y : y + height // UNIT, x : x + width // UNIT]
    return replace(samples, samples=part)
