"""Pictures as CLIP sees them, for models that are told of them: unCLIP, and XL."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.config import ModelSpec, ScheduleConfig
from jaxsd.convert.diffusers.vision_settings import DEVIATION, MEAN
from jaxsd.families import UNCLIP_NOISE
from jaxsd.generators import GENERATORS
from jaxsd.nn.embeddings import sinusoids
from jaxsd.sampling.features.sight import Labels
from jaxsd.schedulers import NoiseSchedule
from jaxsd.types import Params
from jaxsd.workflow.arrays import SEED_BELOW, Sides
from jaxsd.workflow.values import Condition, Model, Seen

TOGETHER = 0.05
"""Noise, as a share of all levels, for the sum of several embeddings; none of XL's."""


def clip_seen(pixels: np.ndarray, side: int, *, crop: bool) -> np.ndarray:
    """What a vision tower is given of pictures [B, H, W, 3] in [0, 1]: [B, side, side, 3] float32.

    A bicubic filter, rounded to bytes.

    Args:
      crop: whether the middle is taken; else the picture is stretched.
    """
    height, width = pixels.shape[1:3]
    if (height, width) != (side, side):
        scale = side / min(height, width)
        size = (round(scale * height), round(scale * width)) if crop else (side, side)
        shape = (len(pixels), *size, 3)
        pixels = np.asarray(jax.image.resize(jnp.float32(pixels), shape, "cubic"))
        top, left = (size[0] - side) // 2, (size[1] - side) // 2
        pixels = pixels[:, top : top + side, left : left + side]
    whole = np.round(np.clip(255 * pixels, 0, 255)) / np.float32(255)
    return (whole - np.float32(MEAN)) / np.float32(DEVIATION)


def labels_of(model: Model, sides: Sides, seed: int, batch: int) -> Labels:
    """What an unCLIP's U-Net is told with each text; zeros with those that show no picture."""
    noise, width = model.spec.sight.noise, model.spec.unet.label_dim
    told = [
        _told(one.seen, noise, model.normalizer, seed, TOGETHER)
        if one.seen
        else np.zeros(width, np.float32)
        for one in sides.branches
    ]
    return Labels(np.tile(np.stack(told), (batch, 1, 1)))


def pooled_of(one: Condition, seed: int) -> np.ndarray | None:
    """The pooled text [1, p], None for models that have none; or XL's pictures in its place."""
    if not one.seen or one.pooled is None:
        return one.pooled
    width = one.pooled.shape[-1]
    return _told(one.seen, UNCLIP_NOISE, None, seed, 0.0)[None, :width]


def check_shows(spec: ModelSpec, sides: Sides) -> None:
    """Checks that pictures go with the model.

    Raises:
      ValueError: one that is told of none, or embeddings of another width.
    """
    widths = {seen.embeds.shape[-1] for one in sides.branches for seen in one.seen}
    if not widths:
        return
    if spec.sight is None and (spec.unet.added is None or spec.unet.added.time_ids != 6):
        raise ValueError("unCLIPConditioning is for unCLIP models and XL; bypass it")
    xl = None if spec.unet.added is None else spec.unet.added.pooled_dim
    needed = xl if spec.sight is None else spec.sight.vision.projection_dim
    if widths != {needed}:
        raise ValueError(
            f"the picture's embedding has {max(widths)} numbers, and the model is told {needed}; "
            "take the CLIP that it was trained with"
        )


def _told(
    seen: Sequence[Seen],
    noise: ScheduleConfig,
    normalizer: Params | None,
    seed: int,
    together: float,
) -> np.ndarray:
    """The sum of embeddings with noise, and of the embeddings of its level, [2d] float32.

    Of several the sum is noised once more. ComfyUI has no seed for that.
    """
    schedule, width = NoiseSchedule.from_config(noise), seen[0].embeds.shape[-1]
    mean, std = np.zeros(width, np.float32), np.ones(width, np.float32)
    if normalizer is not None:
        mean, std = (np.float32(np.ravel(normalizer[name])) for name in ("mean", "std"))
    # Each embedding has the same noise.
    fresh = GENERATORS["torch"]((seed - SEED_BELOW) % 2**64).normal(width)

    def noised(embedding: np.ndarray, share: float) -> np.ndarray:
        level = round((len(schedule.alpha) - 1) * share)
        alpha, sigma = np.float32(schedule.alpha[level]), np.float32(schedule.sigma[level])
        own = (alpha * (embedding - mean) / std + sigma * fresh) * std + mean
        return np.concatenate([own, np.asarray(sinusoids(jnp.float32([level]), width))[0]])

    each = [one.strength * noised(own, one.noise) for one in seen for own in one.embeds]
    return each[0] if len(each) == 1 else noised(np.sum(each, axis=0)[:width], together)
