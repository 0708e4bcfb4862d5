"""Nodes of latents put together, divided and turned."""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np

from jaxsd.workflow.arrays import repeated
from jaxsd.workflow.nodes.images import image_composite_masked
from jaxsd.workflow.nodes.latents import UNIT
from jaxsd.workflow.resizing import common_upscale
from jaxsd.workflow.schema import MAX_RESOLUTION, Pixels, Range, node
from jaxsd.workflow.values import LATENT, MASK, Latent

Count = Annotated[int, Range(1, 64)]


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


@node("LatentCompositeMasked", "LATENT")
def latent_composite_masked(
    *,
    destination: LATENT,
    source: LATENT,
    x: Pixels = 0,
    y: Pixels = 0,
    resize_source: bool = False,
    mask: MASK | None = None,
) -> Latent:
    """Latents put over others, where a mask is white."""
    place = {"x": x // UNIT, "y": y // UNIT, "resize_source": resize_source, "mask": mask}
    made = image_composite_masked(destination=destination.samples, source=source.samples, **place)
    return replace(destination, samples=made)


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
