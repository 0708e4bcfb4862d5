"""Pictures in the sizes that networks, drawings and thumbnails have."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from jaxsd.images.pixels import check_uint8

BICUBIC = Image.Resampling.BICUBIC
LANCZOS = Image.Resampling.LANCZOS
LONGEST = 64
"""Squares in a row of which a picture is scaled for CLIP, at most."""


class Cover(NamedTuple):
    """A picture scaled to cover a rectangle, which lies in the picture's middle.

    Attributes:
      height: height of the whole scaled picture; `width` likewise.
      top: rows of it above the rectangle; `left` likewise, columns.
    """

    height: int
    width: int
    top: int
    left: int


def covering(size: tuple[int, int], height: int, width: int) -> Cover:
    """How a picture of a size (height, width) covers a rectangle.

    Raises:
      ValueError: a side of the rectangle is less than 1 pixel.
    """
    if height < 1 or width < 1:
        raise ValueError(f"the size is {width}x{height}; both sides must be 1 pixel or more")
    scale = max(height / size[0], width / size[1])
    rows, columns = max(height, round(size[0] * scale)), max(width, round(size[1] * scale))
    return Cover(rows, columns, (rows - height) // 2, (columns - width) // 2)


def fitted(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of a picture that was scaled to cover a size, as webui's "crop and resize".

    All pictures, masks and hints of a drawing follow this rule: those of one size stay aligned,
    because one filter (Lanczos) scales all channels, alpha too. A picture that has the size already
    is unchanged; one that is too long along one side only is cut and not scaled.

    Args:
      image: uint8 [H, W] or [H, W, C].

    Returns:
      uint8 [height, width] or [height, width, C].
    """
    check_uint8("image", image)
    if image.ndim not in (2, 3) or not image.size:
        raise ValueError(f"image has shape {image.shape}; [H, W] or [H, W, C] is needed")
    rows, columns, top, left = covering(image.shape[:2], height, width)
    # Only what is in the rectangle is computed: a long, narrow picture would be huge when scaled.
    down, along = image.shape[0] / rows, image.shape[1] / columns
    box = (left * along, top * down, (left + width) * along, (top + height) * down)
    box = tuple(map(min, box, 2 * image.shape[1::-1]))  # rounding must not reach beyond the picture

    def resized(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels).resize((width, height), LANCZOS, box=box))

    if image.ndim == 2 or image.shape[-1] == 3:
        return resized(image)
    # Channel by channel: Pillow has no other number of channels, and would multiply by alpha.
    return np.stack([resized(channel) for channel in np.moveaxis(image, -1, 0)], axis=-1)


def stretched(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture uint8 [H, W, 3] in another size, whatever its shape, by Lanczos' filter."""
    return np.asarray(Image.fromarray(image).resize((width, height), LANCZOS))


def clean_resize(image: np.ndarray, side: int) -> np.ndarray:
    """A picture resized to a square, as FID should see it (Parmar et al. 2022, section 3).

    Each channel is resized by itself in float32, by a bicubic filter that widens where the picture
    shrinks. Nothing is rounded. clean-fid gives the same numbers.

    Args:
      image: uint8 [H, W, 3].

    Returns:
      float32 [side, side, 3], 0 to 255.
    """
    channels = (Image.fromarray(image[..., i].astype(np.float32)) for i in range(3))
    resized = [np.asarray(channel.resize((side, side), BICUBIC)) for channel in channels]
    return np.stack(resized, axis=-1).clip(0, 255)


def sampled(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Values [H, W] in another size, float32, by PyTorch's bicubic filter, which skips some.

    Keys' kernel (1981) with a = -0.75; beyond the sides are the outermost values.
    """
    rows, columns = _cubic(values.shape[0], height), _cubic(values.shape[1], width)
    return (rows @ values @ columns.T).astype(np.float32)


def corner_to_corner(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture [H, W, 3] in another size, float32: linear between pixels, corners on corners.

    TensorFlow's `resize_bilinear` with `align_corners`; what lies between is skipped.
    """
    down, along = _linear(image.shape[0], height), _linear(image.shape[1], width)
    return np.einsum("yr,rcn,xc->yxn", down, image, along, optimize=True).astype(np.float32)


def _linear(before: int, after: int) -> np.ndarray:
    """The weights [after, before] of values along a side, whose ends stay where they are."""
    place = np.linspace(0, before - 1, after)
    return np.maximum(0, 1 - abs(place[:, None] - np.arange(before)))


def _cubic(before: int, after: int) -> np.ndarray:
    """The weights [after, before] of values along a side."""
    place = (np.arange(after) + 0.5) * before / after - 0.5
    weights = np.zeros((after, before))
    for step in range(-1, 3):
        near = np.floor(place).astype(int) + step
        x = abs(place - near)
        inner, outer = 1.25 * x**3 - 2.25 * x**2 + 1, -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
        own = np.where(x <= 1, inner, outer)
        np.add.at(weights, (np.arange(after), near.clip(0, before - 1)), own)
    return weights


def clip_resize(image: np.ndarray, side: int) -> np.ndarray:
    """The middle of a picture whose shorter side was scaled to `side`, as CLIP sees it.

    uint8 [H, W, 3] -> uint8 [side, side, 3]; a bicubic filter, rounded, as transformers' processor.
    """
    shorter = min(image.shape[:2])
    # The middle alone is seen, and a long, narrow picture would be huge when scaled.
    above, before = (max(0, length - LONGEST * shorter) // 2 for length in image.shape[:2])
    image = image[above : image.shape[0] - above, before : image.shape[1] - before]
    height, width = image.shape[:2]
    size = (side * width // shorter, side * height // shorter)
    resized = Image.fromarray(image).resize(size, BICUBIC)
    left, top = ((length - side) // 2 for length in size)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """A picture, uint8 [H, W, 3], as large as fits into a white square, uint8 [side, side, 3]."""
    return np.asarray(ImageOps.pad(Image.fromarray(image), (side, side), BICUBIC, "white"))
