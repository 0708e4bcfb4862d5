"""Nodes of encoded texts: joined, in parts of a picture and of the way, with ControlNets."""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np

from jaxsd.workflow.networks import encoded
from jaxsd.workflow.resizing import common_upscale, resized
from jaxsd.workflow.schema import MAX_RESOLUTION, Percent, Pixels, Range, node
from jaxsd.workflow.values import (
    CONDITIONING,
    CONTROL_NET,
    IMAGE,
    MASK,
    VAE,
    Conditions,
    Hint,
    Latent,
)

AreaSide = Annotated[int, Range(64, MAX_RESOLUTION)]
Strength = Annotated[float, Range(0, 10)]


@node("ConditioningCombine", "CONDITIONING")
def conditioning_combine(
    *, conditioning_1: CONDITIONING, conditioning_2: CONDITIONING
) -> Conditions:
    """Both texts, whose predictions are a mean."""
    return conditioning_1 + conditioning_2


@node("ConditioningConcat", "CONDITIONING")
def conditioning_concat(
    *, conditioning_to: CONDITIONING, conditioning_from: CONDITIONING
) -> Conditions:
    """The first text of the second input behind each of the first."""
    more = conditioning_from[0].context
    return tuple(
        replace(one, context=np.concatenate([one.context, more], axis=1)) for one in conditioning_to
    )


@node("ConditioningAverage", "CONDITIONING")
def conditioning_average(
    *,
    conditioning_to: CONDITIONING,
    conditioning_from: CONDITIONING,
    conditioning_to_strength: Percent = 1.0,
) -> Conditions:
    """A share of each text, and the rest of the first of the second input, padded by zeros."""
    share, other = conditioning_to_strength, conditioning_from[0]
    made = []
    for one in conditioning_to:
        length = one.context.shape[1]
        missing = max(0, length - other.context.shape[1])
        cut = np.pad(other.context[:, :length], ((0, 0), (0, missing), (0, 0)))
        context = share * one.context + (1 - share) * cut
        pooled = one.pooled
        if pooled is not None and other.pooled is not None:
            pooled = share * pooled + (1 - share) * other.pooled
        elif pooled is None:
            pooled = other.pooled
        made.append(replace(one, context=context, pooled=pooled))
    return tuple(made)


@node("ConditioningZeroOut", "CONDITIONING")
def conditioning_zero_out(*, conditioning: CONDITIONING) -> Conditions:
    """Zeros in place of texts."""
    return tuple(
        replace(
            one,
            context=np.zeros_like(one.context),
            pooled=None if one.pooled is None else np.zeros_like(one.pooled),
        )
        for one in conditioning
    )


@node("ConditioningSetArea", "CONDITIONING")
def conditioning_set_area(
    *,
    conditioning: CONDITIONING,
    width: AreaSide = 64,
    height: AreaSide = 64,
    x: Pixels = 0,
    y: Pixels = 0,
    strength: Strength = 1.0,
) -> Conditions:
    """Texts for a box of the picture, in pixels."""
    area = (height // 8, width // 8, y // 8, x // 8)
    return _changed(conditioning, area=area, strength=strength, bounds=False)


@node("ConditioningSetAreaPercentage", "CONDITIONING")
def conditioning_set_area_percentage(
    *,
    conditioning: CONDITIONING,
    width: Percent = 1.0,
    height: Percent = 1.0,
    x: Percent = 0.0,
    y: Percent = 0.0,
    strength: Strength = 1.0,
) -> Conditions:
    """Texts for a box of the picture, in shares of its sides."""
    area = (height, width, y, x)
    return _changed(conditioning, area=area, strength=strength, bounds=False)


@node("ConditioningSetAreaStrength", "CONDITIONING")
def conditioning_set_area_strength(
    *, conditioning: CONDITIONING, strength: Strength = 1.0
) -> Conditions:
    """The weight of texts among those of their side."""
    return _changed(conditioning, strength=strength)


@node("ConditioningSetMask", "CONDITIONING")
def conditioning_set_mask(
    *,
    conditioning: CONDITIONING,
    mask: MASK,
    strength: Strength = 1.0,
    set_cond_area: Literal["default", "mask bounds"] = "default",
) -> Conditions:
    """Texts where a mask is white; with "mask bounds" the U-Net sees the box around it alone."""
    bounds = set_cond_area != "default"
    return _changed(conditioning, mask=mask, mask_strength=strength, bounds=bounds)


@node("ConditioningSetTimestepRange", "CONDITIONING")
def conditioning_set_timestep_range(
    *, conditioning: CONDITIONING, start: Percent = 0.0, end: Percent = 1.0
) -> Conditions:
    """Texts for a part of the way from noise (0) to picture (1)."""
    return _changed(conditioning, start=start, end=end)


@node("ControlNetApply", "CONDITIONING")
def control_net_apply(
    *,
    conditioning: CONDITIONING,
    control_net: CONTROL_NET,
    image: IMAGE,
    strength: Strength = 1.0,
) -> Conditions:
    """A ControlNet for these texts and those of the other side."""
    if strength == 0:
        return conditioning
    hint = Hint(control_net, image, strength)
    return tuple(replace(one, hints=(*one.hints, hint), to_both=True) for one in conditioning)


@node("ControlNetApplyAdvanced", "CONDITIONING", "CONDITIONING")
def control_net_apply_advanced(
    *,
    positive: CONDITIONING,
    negative: CONDITIONING,
    control_net: CONTROL_NET,
    image: IMAGE,
    strength: Strength = 1.0,
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
    vae: VAE | None = None,
) -> tuple[Conditions, Conditions]:
    """A ControlNet for texts of both sides, in a part of the way."""
    if strength == 0:
        return positive, negative
    hint = Hint(control_net, image, strength, start_percent, end_percent)

    def hinted(conditions: Conditions) -> Conditions:
        return tuple(replace(one, hints=(*one.hints, hint), to_both=False) for one in conditions)

    return hinted(positive), hinted(negative)


@node("InpaintModelConditioning", "CONDITIONING", "CONDITIONING", "LATENT")
def inpaint_model_conditioning(
    *,
    positive: CONDITIONING,
    negative: CONDITIONING,
    vae: VAE,
    pixels: IMAGE,
    mask: MASK,
    noise_mask: bool = True,
) -> tuple[Conditions, Conditions, Latent]:
    """A picture and a mask for U-Nets that see both; the mask is for the latents too."""
    unit = vae.spec.vae.downscale
    height, width = (side // unit * unit for side in pixels.shape[1:3])
    mask = resized(mask[..., None], *pixels.shape[1:3], "bilinear")
    top, left = ((side % unit) // 2 for side in pixels.shape[1:3])
    inside = (slice(None), slice(top, top + height), slice(left, left + width))
    mask = mask[inside]
    grey = (pixels[inside] - 0.5) * (1 - np.round(mask)) + 0.5
    seen = {"image": encoded(vae, grey), "mask": mask[..., 0]}
    own = encoded(vae, pixels[inside])
    latent = Latent(own, mask[..., 0] if noise_mask else None)
    return _changed(positive, concat=seen), _changed(negative, concat=seen), latent


@node("InstructPixToPixConditioning", "CONDITIONING", "CONDITIONING", "LATENT")
def instruct_pix_to_pix_conditioning(
    *, positive: CONDITIONING, negative: CONDITIONING, vae: VAE, pixels: IMAGE
) -> tuple[Conditions, Conditions, Latent]:
    """A picture for U-Nets that change one."""
    samples = encoded(vae, pixels)
    seen = {"image": samples}
    latent = Latent(np.zeros_like(samples))
    return _changed(positive, concat=seen), _changed(negative, concat=seen), latent


@node("SD_4XUpscale_Conditioning", "CONDITIONING", "CONDITIONING", "LATENT")
def sd_4x_upscale_conditioning(
    *,
    images: IMAGE,
    positive: CONDITIONING,
    negative: CONDITIONING,
    scale_ratio: Strength = 4.0,
    noise_augmentation: Percent = 0.0,
) -> tuple[Conditions, Conditions, Latent]:
    """A picture for x4 upscalers, and empty latents, a fourth as large as what is drawn."""
    sides = (max(1, round(scale_ratio * side)) // 4 for side in images.shape[1:3])
    height, width = (max(1, side) for side in sides)
    pixels = common_upscale(2 * images[..., :3] - 1, height, width, "bilinear", "center")
    small = (pixels, noise_augmentation)
    latent = Latent(np.zeros((len(images), height, width, 4), np.float32))
    return _changed(positive, small=small), _changed(negative, small=small), latent


def _changed(conditions: Conditions, **values: object) -> Conditions:
    return tuple(replace(one, **values) for one in conditions)
