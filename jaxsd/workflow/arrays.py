"""The conditions of a sampler as the arrays that the programs take: texts, branches, hints.

Branches of the negative side come first, then those of the positive one.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.config.autoencoders import scaled
from jaxsd.models.controlnet import Hint as Seen
from jaxsd.sampling.features.channels import Channels, Small
from jaxsd.sampling.texts import Encoded
from jaxsd.schedulers import NoiseSchedule, Tableau
from jaxsd.schedulers.guidance import Guidance
from jaxsd.types import Array
from jaxsd.workflow.levels import sigma_at
from jaxsd.workflow.noises import first_noise
from jaxsd.workflow.resizing import common_upscale, nearest_centred, resized
from jaxsd.workflow.values import Conditions, Guider, Guiding, Hint, Model

BLANK = (0.8223, -0.6876, 0.6364, 0.1380)
"""Latents of a grey picture, which inpainting models see where nothing else is given."""
SEED_BELOW = 10
"""The seed of noise that is not the sampler's own is so much smaller in ComfyUI."""


class Sides(NamedTuple):
    """The sides of guidance."""

    negative: Conditions  # empty where only the positive side counts
    positive: Conditions
    cfg: float
    middle: Conditions = ()
    weights: tuple[float, ...] | None = None  # of three sides
    guiding: Guiding | None = None  # in place of weights; the middle side is that of an empty text

    @property
    def branches(self) -> Conditions:
        """All conditions, in the order of branches."""
        return (*self.negative, *self.middle, *self.positive)

    @property
    def parts(self) -> list[slice]:
        """The branches of each side that has some."""
        ends = np.cumsum([len(one) for one in (self.negative, self.middle, self.positive)])
        starts = [0, *ends[:-1]]
        return [slice(a, b) for a, b in zip(starts, ends, strict=True) if b > a]


def sides_of(positive: Conditions, negative: Conditions, cfg: float, *, plus_plus: bool) -> Sides:
    """The sides that are computed: none is negative where the scale is 1, but with CFG++."""
    if math.isclose(cfg, 1.0) and not plus_plus:
        negative = ()
    hints = next((one.hints for one in positive if one.to_both and one.hints), ())
    if hints:
        negative = tuple(one if one.hints else replace(one, hints=hints) for one in negative)
    return Sides(with_boxes(negative, positive), positive, cfg)


def with_boxes(negative: Conditions, positive: Conditions) -> Conditions:
    """A side of guidance with GLIGEN's boxes of the positive one, unless it has some itself.

    The n-th positive text that has boxes gives them to the n-th text here, then from the first one
    again. Texts for areas neither give nor take.
    """
    places = [i for i, one in enumerate(negative) if not one.is_cropped]
    given = [one.grounding for one in positive if one.grounding and not one.is_cropped]
    if not places or any(negative[i].grounding for i in places):
        return negative
    made = list(negative)
    for number, own in enumerate(given):
        place = places[number % len(places)]
        made[place] = replace(made[place], grounding=own)
    return tuple(made)


def three_sides_of(guider: Guider) -> Sides:
    """The sides of a guider that has three, all of which are computed."""
    negative, middle = (
        with_boxes(one, guider.positive) for one in (guider.negative, guider.middle)
    )
    sides = sides_of(guider.positive, (*negative, *middle), guider.cfg, plus_plus=True)
    first = len(guider.negative)
    middle = sides.negative[first:]
    return sides._replace(negative=sides.negative[:first], middle=middle, weights=guider.weights)


def guided_sides(guider: Guider, *, plus_plus: bool) -> Sides:
    """The sides of a guider whose model has a formula, or none.

    A formula needs a negative side: without one, as where the scale is 1, it changes nothing.
    Perp-Neg keeps that side; where it has no weight, the empty text takes its place.
    """
    guiding = guider.model.guiding
    if guider.weights is not None:
        return three_sides_of(guider)
    if guiding is None:
        return sides_of(guider.positive, guider.negative, guider.cfg, plus_plus=plus_plus)
    if guider.middle and math.isclose(guiding.numbers[0], 0.0):
        return sides_of(guider.positive, guider.middle, guider.cfg, plus_plus=False)
    if guider.middle:
        return three_sides_of(guider)._replace(guiding=guiding)
    keeps = bool(guiding.empty)
    sides = sides_of(guider.positive, guider.negative, guider.cfg, plus_plus=keeps)
    if not sides.negative:
        return sides
    return sides._replace(middle=guiding.empty, guiding=guiding)


def texts_of(sides: Sides, batch: int, pooled: Sequence[Array | None]) -> Encoded:
    """Contexts [B, M, L, d] and `pooled` texts, [B, M, p] or None, of all branches.

    Texts of different lengths are repeated up to a common one, which leaves attention as it was.
    """
    branches = sides.branches
    length = math.lcm(*(one.context.shape[1] for one in branches))
    contexts = [
        np.tile(np.asarray(one.context), (1, length // one.context.shape[1], 1)) for one in branches
    ]
    whole = None
    if all(one is not None for one in pooled):
        whole = _batched([np.asarray(one) for one in pooled], batch)
    return Encoded(_batched(contexts, batch), whole)


def _batched(arrays: Sequence[np.ndarray], batch: int) -> np.ndarray:
    return np.stack([repeated(one, batch) for one in arrays], axis=1)


def repeated(array: np.ndarray, batch: int) -> np.ndarray:
    """The images of an array again and again, or the first ones, `batch` in all."""
    return np.concatenate([array] * -(-batch // len(array)))[:batch]


def time_ids(spec: ModelSpec, sides: Sides, batch: int, size: tuple[int, int]) -> Any:
    """XL's sizes and crop, or the refiner's with a score, [B, M, n]; None for other models."""
    if spec.unet.added is None:
        return None
    rows = []
    for number, one in enumerate(sides.branches):
        own = one.sizes
        height, width = own.get("height", size[0]), own.get("width", size[1])
        row = [height, width, own.get("crop_h", 0), own.get("crop_w", 0)]
        if spec.unet.added.time_ids == 6:
            row += [own.get("target_height", height), own.get("target_width", width)]
        else:
            usual = 2.5 if number < len(sides.negative) else 6.0
            row.append(own.get("aesthetic_score", usual))
        rows.append(row)
    return np.tile(np.float32(rows), (batch, 1, 1))


def active_rows(model: Model, sides: Sides, table: Tableau) -> np.ndarray:
    """Whether a branch counts in a row, [S, K] bool, by its range of levels."""
    levels = table.sigma[:-1] / table.alpha[:-1]
    ranges = [(sigma_at(model, one.start), sigma_at(model, one.end)) for one in sides.branches]
    return np.stack([(levels <= start) & (levels >= end) for start, end in ranges], axis=1)


def side_weights(sides: Sides, active: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The weight of each branch's side where it counts, in that side's place, [S, K, 2 or 3].

    For a formula it is 1, in the order of its sides: negative, positive, empty.
    """
    rows, count = active.shape
    if sides.guiding is not None:
        places = np.repeat([0, 2, 1], [len(sides.negative), len(sides.middle), len(sides.positive)])
        return np.eye(3, dtype=np.float32)[places] * active[:, :, None]
    if sides.weights is not None:
        each = np.zeros((rows, count, 3), np.float32)
        for side, (own, part) in enumerate(zip(sides.weights, sides.parts, strict=True)):
            each[:, part, side] = own
        return each * active[:, :, None]
    weight = np.zeros((rows, count, 2), np.float32)
    scale = sides.cfg * factors
    first = len(sides.negative)
    weight[:, :first, 0] = (1 - scale)[:, None]
    weight[:, first:, 1] = scale[:, None] if first else 1
    return weight * active[:, :, None]


def needs_areas(sides: Sides, active: np.ndarray) -> bool:
    """Whether branches count in parts of the picture, or no branch of a side does in some row, or
    a formula takes their sides.
    """
    if sides.guiding is not None:
        return True
    if any(one.mask is not None or one.area is not None for one in sides.branches):
        return True
    return not all(active[:, part].any(axis=1).all() for part in sides.parts)


def guidance_of(sides: Sides, weights: np.ndarray) -> Guidance:
    """Branches that are everywhere, by their strengths: `which` [S, K] and `weight` [S, K - 1]."""
    strength = np.float32([one.strength for one in sides.branches])
    counts = (weights != 0) * strength[None, :, None]
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-30)
    total = (weights * share).sum(axis=-1)
    which = np.tile(np.arange(len(strength), dtype=np.int32), (len(weights), 1))
    return Guidance(which, total[:, 1:].astype(np.float32))


def hints_of(sides: Sides) -> tuple[Hint, ...]:
    """All hints of both sides, each once."""
    return tuple({id(hint): hint for one in sides.branches for hint in one.hints}.values())


def hint_images(hints: Sequence[Hint], batch: int, height: int, width: int) -> tuple:
    """The pictures of hints in the size of the picture, [B, H, W, 3] each, and their kinds."""

    def seen(one: Hint) -> np.ndarray | Seen:
        image = repeated(nearest_centred(one.image, height, width).astype(np.float32), batch)
        kind = one.net.kind
        return image if kind is None else Seen((image,), np.full((batch, 1), kind, np.int32))

    return tuple(map(seen, hints))


def hint_weights(model: Model, sides: Sides, hints: Sequence[Hint], table: Tableau) -> np.ndarray:
    """The weight of each hint for each branch in each row, [S, C, K]."""
    levels = table.sigma[:-1] / table.alpha[:-1]
    weight = np.zeros((len(levels), len(hints), len(sides.branches)), np.float32)
    for i, hint in enumerate(hints):
        counts = (levels <= sigma_at(model, hint.start)) & (levels >= sigma_at(model, hint.end))
        for k, one in enumerate(sides.branches):
            if any(hint is own for own in one.hints):
                weight[:, i, k] = counts * hint.strength
    return weight


def channels_of(
    spec: ModelSpec, sides: Sides, samples: np.ndarray, mask: np.ndarray | None, seed: int
) -> dict[str, Channels]:
    """What the U-Net sees behind its input: mask and masked picture, or a picture to change.

    Args:
      spec: of the model.
      sides: the first positive condition has latents and mask, if any does.
      samples: [B, h, w, c] scaled latents, which stand for those of the picture.
      mask: [B, h, w, 1] of the latents, or None.
      seed: of the sampler.

    Raises:
      ValueError: a model that sees what no node gives.
    """
    sees, concat = spec.unet.sees, dict(sides.positive[0].concat)
    if not sees:
        return {}
    batch = len(samples)
    if sees == "mask":
        seen = scaled(spec.vae, concat["image"]) if "image" in concat else samples
        if "mask" in concat:
            mask = np.round(resized(concat["mask"][..., None], *samples.shape[1:3], "bilinear"))
        if mask is None:
            mask = np.ones((*samples.shape[:3], 1), np.float32)
            seen = np.broadcast_to(np.float32(BLANK), samples.shape)
        whole = [repeated(np.asarray(one, np.float32), batch) for one in (mask, seen)]
        return {"channels": Channels(np.concatenate(whole, axis=-1), None)}
    if sees == "picture" and "image" in concat:
        image = np.asarray(concat["image"], np.float32)
        if spec.schedule.edm is not None:  # CosXL's sees latents as the U-Net has them
            image = np.float32(scaled(spec.vae, image))
        seen = repeated(image, batch)
        shown = np.float32([bool(one.concat) for one in sides.branches])
        return {"channels": Channels(seen, None, np.tile(shown, (batch, 1)))}
    if sees == "small" and all(one.small is not None for one in sides.branches):
        return {"channels": Channels(None, None, small=_small(spec, sides, samples, seed))}
    raise ValueError(f"the model sees a {sees} beside the latents, which no node gives it")


def _small(spec: ModelSpec, sides: Sides, samples: np.ndarray, seed: int) -> Small:
    """The picture that a model enlarges, with its noise, which ComfyUI draws by the seed less ten.

    Without `noise_augmentation` it has none, not even that of the lowest level.
    """
    pixels, share = sides.positive[0].small
    pixels = common_upscale(pixels, *samples.shape[1:3], "bilinear", "center")
    level = round(spec.small.most * share)
    if share > 0:
        noise = NoiseSchedule.from_config(spec.small.schedule)
        fresh = first_noise((seed - SEED_BELOW) % 2**64, pixels.shape)
        pixels = np.float32(noise.alpha[level]) * pixels + np.float32(noise.sigma[level]) * fresh
    batch = len(samples)
    weights = np.tile(np.float32([1, 0]), (batch, 1))
    return Small(repeated(pixels, batch), weights, np.full(batch, level, np.int32))
