"""The arrays that features of a drawing are given. Host only."""

from collections.abc import Sequence

import numpy as np

from jaxsd.canvases import Canvas
from jaxsd.config import ModelSpec
from jaxsd.images import binary, from_uint8, latent_depth, latent_mask, masked_for_inpainting
from jaxsd.pipeline.batches import filled
from jaxsd.sampling.features.channels import Channels
from jaxsd.settings import Region, Settings
from jaxsd.settings.bank import Bank


def pictures_of(canvases: Sequence[Canvas]) -> np.ndarray:
    """The pictures to begin from, [B, H, W, 3] float32 in [-1, 1]."""
    return from_uint8(np.stack([canvas.image for canvas in canvases]))


def features_of(
    spec: ModelSpec, settings: Settings, canvases: Sequence[Canvas]
) -> dict[str, object]:
    """The arrays of features, by their names, but for `channels`."""
    found: dict[str, object] = {}
    if settings.paints and spec.unet.sees != "mask":
        masks = [latent_mask(canvas.mask, spec.vae.downscale) for canvas in canvases]
        found["blend"] = np.stack(masks)[..., None]
    if settings.region:
        height, width = settings.drawn_size
        unit = spec.vae.downscale
        masks = region_masks(settings.region, height // unit, width // unit)
        found["region"] = np.stack([masks] * len(canvases))
    if settings.reference:
        found["reference"] = from_uint8(np.stack([canvas.reference for canvas in canvases]))
    if settings.control:
        found["controlnet"] = tuple(
            np.stack(hints).astype(np.float32) / 255
            for hints in zip(*(canvas.hints for canvas in canvases), strict=True)
        )
    return found


def channels_of(
    spec: ModelSpec,
    settings: Settings,
    canvases: Sequence[Canvas],
    banks: Sequence[Bank],
    texts: int,
) -> dict[str, Channels]:
    """What the U-Net sees behind the latents, if anything; `texts` is the number of an image's."""
    if spec.unet.sees == "mask":
        return {"channels": mask_channels(settings, canvases, spec.vae.downscale)}
    if spec.unet.sees == "picture":
        sees = [filled([float(one.sees) for one in bank.entries], texts) for bank in banks]
        return {"channels": Channels(None, pictures_of(canvases), np.float32(sees))}
    if spec.unet.sees == "depth":
        maps = [latent_depth(canvas.depth, spec.vae.downscale) for canvas in canvases]
        return {"channels": Channels(np.stack(maps)[..., None], None)}
    return {}


def region_masks(regions: Sequence[Region], height: int, width: int) -> np.ndarray:
    """Shares of the prompt and of each region in each pixel, [1 + regions, h, w, 1] float32.

    The prompt is everywhere with a weight of 1; where boxes overlap, their weights add up.
    """
    weights = np.zeros((1 + len(regions), height, width, 1))
    weights[0] = 1
    for weight, one in zip(weights[1:], regions, strict=True):
        rows = box_side(one.y, one.height, height)
        weight[rows, box_side(one.x, one.width, width)] = one.strength
    return (weights / weights.sum(axis=0)).astype(np.float32)


def box_side(first: float, share: float, count: int) -> slice:
    """The pixels that a part of a side covers, one at least."""
    begin = min(round(first * count), count - 1)
    return slice(begin, max(begin + 1, round((first + share) * count)))


def mask_channels(settings: Settings, canvases: Sequence[Canvas], unit: int) -> Channels:
    """Input channels of inpainting models; without a mask everything is painted, on grey."""
    height, width = settings.drawn_size
    if not settings.paints:
        sides = (len(canvases), height // unit, width // unit, 1)
        grey = np.zeros((len(canvases), height, width, 3), np.float32)
        return Channels(np.ones(sides, np.float32), grey)
    masks = [latent_mask(binary(canvas.mask), unit) for canvas in canvases]
    images = [masked_for_inpainting(canvas.image, canvas.mask) for canvas in canvases]
    return Channels(np.stack(masks)[..., None], np.stack(images))
