"""The arrays that features of a drawing are given. Host only."""

from collections.abc import Sequence

import numpy as np

from jaxsd.canvases import Canvas
from jaxsd.config import ModelSpec, ScheduleConfig
from jaxsd.convert.clip import clip_pixels
from jaxsd.images import (
    binary,
    from_uint8,
    latent_depth,
    latent_mask,
    masked_for_inpainting,
    middles,
)
from jaxsd.models.controlnet import Hint
from jaxsd.models.tiles import tiling
from jaxsd.pipeline.batches import filled
from jaxsd.sampling.features.channels import Channels, Small
from jaxsd.sampling.features.sight import Noising, Sight
from jaxsd.sampling.features.windows import Windows
from jaxsd.schedulers import NoiseSchedule
from jaxsd.settings import UNION_KINDS, Control, Region, Settings
from jaxsd.settings.bank import Bank
from jaxsd.settings.controls import runs_of


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
        unit = spec.vae.downscale
        sides = [side // unit for side in settings.drawn_size]
        found["region"] = np.stack(
            [region_masks(settings.region, *sides, one.regions) for one in canvases]
        )
    if settings.reference:
        found["reference"] = from_uint8(np.stack([canvas.reference for canvas in canvases]))
    if any(side > settings.windows[0] > 0 for side in settings.drawn_size):
        windows = windows_of(settings, spec)
        found["windows"] = Windows(*(np.stack([own] * len(canvases)) for own in windows))
    if settings.control:
        hints = [np.stack(own) for own in zip(*(one.hints for one in canvases), strict=True)]
        found["controlnet"] = tuple(
            hint_of([settings.control[i] for i in own], [hints[i] for i in own])
            for own in runs_of(settings.control, at_once=settings.union_at_once)
        )
    return found


def hint_of(controls: Sequence[Control], hints: Sequence[np.ndarray]) -> np.ndarray | Hint:
    """What a run of a network is given of the pictures of a batch, and of their kinds.

    Args:
      controls: whose pictures it sees.
      hints: of each, uint8 [B, H, W, 3].
    """
    images = [hint.astype(np.float32) / 255 for hint in hints]
    if not controls[0].kind:
        return images[0]

    def for_each(values: Sequence[float], dtype: type) -> np.ndarray:
        return np.tile(np.array(values, dtype), (len(images[0]), 1))

    kinds = for_each([UNION_KINDS[one.kind] for one in controls], np.int32)
    weights = for_each([one.weight for one in controls], np.float32)
    return Hint(tuple(images), kinds, weights if len(controls) > 1 else None)


def control_mode_of(settings: Settings, banks: Sequence[Bank]) -> dict[str, np.ndarray]:
    """What the feature `control_mode` is given; empty where it does nothing."""
    balanced = settings.control_mode == "balanced"
    return {} if balanced else {"control_mode": negatives_in(banks)}


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
        # The one kind of them whose picture is scaled as the latents are is CosXL's.
        scale = 1.0 if spec.schedule.edm is None else spec.vae.scaling_factor
        sees = [filled([scale * one.sees for one in bank.entries], texts) for bank in banks]
        return {"channels": Channels(None, pictures_of(canvases), np.float32(sees))}
    if spec.unet.sees == "small":
        return {"channels": Channels(None, None, small=small_of(spec, settings, canvases))}
    if spec.unet.sees == "depth":
        maps = [latent_depth(canvas.depth, spec.vae.downscale) for canvas in canvases]
        return {"channels": Channels(np.stack(maps)[..., None], None)}
    return {}


def small_of(spec: ModelSpec, settings: Settings, canvases: Sequence[Canvas]) -> Small:
    """The small pictures that a model enlarges, and the noise of the level that was asked for."""
    count, level = len(canvases), settings.noise_level
    weights = noising_weights(spec.small.schedule, level, count)
    return Small(pictures_of(canvases), weights, np.full(count, level, np.int32))


def noising_weights(schedule: ScheduleConfig, level: int, count: int) -> np.ndarray:
    """Weights of what is noised and of the noise at a level, [count, 2] float32."""
    noise = NoiseSchedule.from_config(schedule)
    return np.tile(np.float32([noise.alpha[level], noise.sigma[level]]), (count, 1))


def sight_of(
    spec: ModelSpec, settings: Settings, canvases: Sequence[Canvas], banks: Sequence[Bank]
) -> dict[str, Sight]:
    """What a model that varies a picture sees of it; empty for all others."""
    if spec.sight is None:
        return {}
    side, level = spec.sight.vision.image_size, settings.noise_level
    noising, count = None, len(canvases)
    if (noise := spec.sight.noise) is not None:
        weights = noising_weights(noise, level, count)
        noising = Noising(weights, np.full(count, level, np.float32))
    seen = np.stack([clip_pixels(canvas.whole, side) for canvas in canvases])
    return {"sight": Sight(seen, negatives_in(banks), noising)}


def negatives_in(banks: Sequence[Bank]) -> np.ndarray:
    """How many of each image's texts, the first ones, are negative prompts: [B] int32."""
    return np.int32([sum(entry.is_negative for entry in bank.entries) for bank in banks])


def windows_of(settings: Settings, spec: ModelSpec) -> Windows:
    """The windows of one image, row by row, [W, ...]; they begin where the U-Net can halve."""
    latent, unit = spec.vae.downscale, 2 ** (len(spec.unet.levels) - 1)
    size, over = (pixels // latent for pixels in settings.windows)
    over = -(-over // unit) * unit

    def along_side(pixels: int) -> tuple[np.ndarray, np.ndarray]:
        tile = min(size, length := pixels // latent)
        return tiling(length, tile, min(over, tile - unit), unit)

    (tops, down), (lefts, along) = map(along_side, settings.drawn_size)
    row, column = (grid.ravel() for grid in np.mgrid[: len(tops), : len(lefts)])
    return Windows(np.stack([tops[row], lefts[column]], axis=-1), down[row], along[column])


def region_masks(
    regions: Sequence[Region], height: int, width: int, masks: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """Shares of the prompt and of each region in each pixel, [1 + regions, h, w, 1] float32.

    The prompt is everywhere with a weight of 1; where regions overlap, their weights add up.

    Args:
      regions: boxes and masks.
      height: of the latents.
      width: of the latents.
      masks: uint8 [H, W] for each region that has one.
    """
    weights, left = np.zeros((1 + len(regions), height, width, 1)), iter(masks)
    weights[0] = 1
    for weight, one in zip(weights[1:], regions, strict=True):
        if one.mask:
            weight[..., 0] = one.strength * middles(next(left), height, width)
            continue
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
