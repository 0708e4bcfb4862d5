"""Nodes of parts of pictures and of batches, and of filters."""

from typing import Annotated

import numpy as np
from scipy import ndimage

from jaxsd.workflow.nodes.images import Side
from jaxsd.workflow.schema import Pixels, Range, node
from jaxsd.workflow.values import IMAGE

Radius = Annotated[int, Range(1, 31)]
Spread = Annotated[float, Range(0.1, 10)]


@node("ImageFromBatch", "IMAGE")
def image_from_batch(
    *,
    image: IMAGE,
    batch_index: Annotated[int, Range(0, 4095)] = 0,
    length: Annotated[int, Range(1, 4096)] = 1,
) -> np.ndarray:
    """Some pictures of a batch."""
    first = min(batch_index, len(image) - 1)
    return image[first : first + length]


@node("RepeatImageBatch", "IMAGE")
def repeat_image_batch(*, image: IMAGE, amount: Annotated[int, Range(1, 4096)] = 1) -> np.ndarray:
    """A batch so many times."""
    return np.concatenate([image] * amount)


@node("ImageCrop", "IMAGE")
def image_crop(
    *, image: IMAGE, width: Side = 512, height: Side = 512, x: Pixels = 0, y: Pixels = 0
) -> np.ndarray:
    """A part of pictures, as much as there is of it."""
    y, x = min(y, image.shape[1] - 1), min(x, image.shape[2] - 1)
    return image[:, y : y + height, x : x + width]


@node("ImageBlur", "IMAGE")
def image_blur(*, image: IMAGE, blur_radius: Radius = 1, sigma: Spread = 1.0) -> np.ndarray:
    """A Gaussian blur; `sigma` is a share of the radius."""
    return _filtered(image, _gaussian(blur_radius, sigma))


@node("ImageSharpen", "IMAGE")
def image_sharpen(
    *,
    image: IMAGE,
    sharpen_radius: Radius = 1,
    sigma: Spread = 1.0,
    alpha: Annotated[float, Range(0, 5)] = 1.0,
) -> np.ndarray:
    """Pictures less ten times a blur's share `alpha`, and as bright as they were."""
    kernel = -10 * alpha * _gaussian(sharpen_radius, sigma)
    kernel[sharpen_radius, sharpen_radius] += 1 - kernel.sum()
    return np.clip(_filtered(image, kernel), 0, 1)


def _gaussian(radius: int, sigma: float) -> np.ndarray:
    """A kernel [n, n] whose sum is 1; `sigma` is a share of the radius."""
    line = np.linspace(-1, 1, 2 * radius + 1)
    kernel = np.exp(-(line[:, None] ** 2 + line**2) / (2 * sigma**2))
    return kernel / kernel.sum()


def _filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Pictures filtered by a symmetric kernel, mirrored at their borders.

    Raises:
      ValueError: a picture that is not larger than the radius.
    """
    radius = len(kernel) // 2
    if radius >= min(image.shape[1:3]):
        raise ValueError(f"the radius {radius} is not smaller than the picture; give less")
    return ndimage.convolve(image, np.float32(kernel)[None, :, :, None], mode="mirror")
