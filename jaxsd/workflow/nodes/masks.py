"""Nodes of masks."""

from typing import Annotated, Literal

import numpy as np
from scipy import ndimage

from jaxsd.workflow.schema import MAX_RESOLUTION, Percent, Pixels, Range, node
from jaxsd.workflow.values import IMAGE, MASK

Side = Annotated[int, Range(1, MAX_RESOLUTION)]


@node("SolidMask", "MASK")
def solid_mask(*, value: Percent = 1.0, width: Side = 512, height: Side = 512) -> np.ndarray:
    """A mask of one grey."""
    return np.full((1, height, width), value, np.float32)


@node("InvertMask", "MASK")
def invert_mask(*, mask: MASK) -> np.ndarray:
    """The negative."""
    return 1 - mask


@node("MaskToImage", "IMAGE")
def mask_to_image(*, mask: MASK) -> np.ndarray:
    """A grey picture of a mask."""
    return np.repeat(mask[..., None], 3, axis=-1)


@node("ImageToMask", "MASK")
def image_to_mask(
    *, image: IMAGE, channel: Literal["red", "green", "blue", "alpha"] = "red"
) -> np.ndarray:
    """A channel of a picture; alpha is that of an opaque picture."""
    if channel == "alpha":
        return np.ones(image.shape[:3], np.float32)
    return image[..., ("red", "green", "blue").index(channel)]


@node("GrowMask", "MASK")
def grow_mask(
    *,
    mask: MASK,
    expand: Annotated[int, Range(-MAX_RESOLUTION, MAX_RESOLUTION)] = 0,
    tapered_corners: bool = True,
) -> np.ndarray:
    """A mask grown or shrunk by pixels; with tapered corners not along diagonals."""
    around = ndimage.generate_binary_structure(2, 1 if tapered_corners else 2)
    change = ndimage.grey_dilation if expand > 0 else ndimage.grey_erosion
    made = np.array(mask, np.float32)
    for one in made:
        for _ in range(min(abs(expand), max(one.shape))):
            one[...] = change(one, footprint=around)
    return made


@node("FeatherMask", "MASK")
def feather_mask(
    *, mask: MASK, left: Pixels = 0, top: Pixels = 0, right: Pixels = 0, bottom: Pixels = 0
) -> np.ndarray:
    """A mask that fades towards the sides of the picture."""
    made = np.array(mask, np.float32)
    for axis, count, turned in ((2, left, 1), (2, right, -1), (1, top, 1), (1, bottom, -1)):
        length = made.shape[axis]
        count = min(count, length)
        ramp = np.ones(length, np.float32)
        ramp[:count] = np.arange(1, count + 1) / max(count, 1)
        made *= ramp[::turned].reshape([-1 if i == axis else 1 for i in range(3)])
    return made


@node("MaskComposite", "MASK")
def mask_composite(
    *,
    destination: MASK,
    source: MASK,
    x: Pixels = 0,
    y: Pixels = 0,
    operation: Literal["multiply", "add", "subtract", "and", "or", "xor"],
) -> np.ndarray:
    """A mask put over another one by arithmetic, cut to 0 to 1."""
    made = np.array(destination, np.float32)
    part = made[:, y : y + source.shape[1], x : x + source.shape[2]]
    own = source[:, : part.shape[1], : part.shape[2]]
    a, b = np.round(part).astype(bool), np.round(own).astype(bool)
    part[...] = {
        "multiply": part * own,
        "add": part + own,
        "subtract": part - own,
        "and": a & b,
        "or": a | b,
        "xor": a ^ b,
    }[operation]
    return np.clip(made, 0, 1)


@node("CropMask", "MASK")
def crop_mask(
    *, mask: MASK, x: Pixels = 0, y: Pixels = 0, width: Side = 512, height: Side = 512
) -> np.ndarray:
    """A part of a mask."""
    return mask[:, y : y + height, x : x + width]


@node("ThresholdMask", "MASK")
def threshold_mask(*, mask: MASK, value: Percent = 0.5) -> np.ndarray:
    """White where a mask is more than a number, black elsewhere."""
    return np.float32(mask > value)
