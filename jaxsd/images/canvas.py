"""The picture under a drawing: what is painted over, what is kept, what is added at its sides."""

import numpy as np
from PIL import Image, ImageFilter

from jaxsd.images.masks import check_mask
from jaxsd.images.pixels import check_uint8, from_uint8

SPREAD = 0.5
"""Standard deviation of the blur in `grown`, in pixels for each pixel of distance.

Chosen by eye among 0, 1/8, 1/4, 1/2 and 1: less leaves streaks, more makes the colours pale. From
mirrored pixels, blurred or not, the model draws a second head at the side of a portrait.
"""


def pasted(drawn: np.ndarray, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The drawn picture where the mask is 1, the source where it is 0, mixed between.

    Latents lose detail of the parts that are kept; this restores the source's pixels. Where the
    mask is 0 or 1, pixels are exactly those of the source or of the drawn picture.

    Args:
      drawn: uint8 [..., H, W, C].
      source: uint8 [..., H, W, C], of the same size.
      mask: float [..., H, W] in [0, 1]. Leading axes broadcast.

    Returns:
      uint8 [..., H, W, C].
    """
    check_uint8("the drawn picture", drawn)
    _check_pair(source, mask)
    if drawn.shape[-3:] != source.shape[-3:]:
        raise ValueError(
            f"the drawn picture has shape {drawn.shape}, the source {source.shape}; "
            "`fitted` gives both one size"
        )
    below = source.astype(np.float32)
    mixed = below + mask[..., None].astype(np.float32) * (drawn - below)
    return np.round(mixed).astype(np.uint8)


def masked_for_inpainting(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A picture that is grey where it is to be painted, as inpainting models were trained.

    As `masked_image` in diffusers' `StableDiffusionInpaintPipeline`.

    Args:
      image: uint8 [..., H, W, C].
      mask: float [..., H, W] in [0, 1]; painted where it is 0.5 or more.

    Returns:
      float32 [..., H, W, C] in [-1, 1], 0 where the picture is painted.
    """
    _check_pair(image, mask)
    return np.where(mask[..., None] >= 0.5, np.float32(0), from_uint8(image))


def grown(
    image: np.ndarray,
    *,
    left: int = 0,
    top: int = 0,
    right: int = 0,
    bottom: int = 0,
    overlap: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """A larger canvas for outpainting, and the mask of what is new on it.

    New pixels repeat the picture's edge, blurred along the edge, and blurred more at a greater
    distance. So there is no seam and no shape that looks like an object, and the model starts from
    the colours around.

    Args:
      image: uint8 [H, W, 3].
      left: pixels to add there; likewise `top`, `right` and `bottom`.
      overlap: pixels of the old picture, beside each side that grows, that are painted too.

    Returns:
      uint8 [H', W', 3] that holds the picture's own pixels at [top, left], overlap included, and a
      mask, uint8 [H', W'], 255 where it is to be painted.
    """
    check_uint8("image", image)
    if image.ndim != 3 or image.shape[-1] != 3 or not image.size:
        raise ValueError(f"image has shape {image.shape}; [H, W, 3] is needed")
    sides = {"top": top, "left": left, "bottom": bottom, "right": right}
    for name, pixels in {**sides, "overlap": overlap}.items():
        if pixels < 0:
            raise ValueError(f"{name} is {pixels} pixels; 0 or more are allowed")
    height, width = image.shape[:2]
    above, before, below, behind = (overlap if pixels else 0 for pixels in sides.values())
    if above + below >= height or before + behind >= width:
        raise ValueError(
            f"an overlap of {overlap} pixels keeps nothing of a picture of {width}x{height}; "
            "give less"
        )
    mask = np.full((top + height + bottom, left + width + right), 255, np.uint8)
    mask[top + above : top + height - below, left + before : left + width - behind] = 0
    canvas = image
    for pixels in sides.values():
        # Turned clockwise, the left side is the next to be on top.
        canvas = np.rot90(_grown_upwards(canvas, pixels), -1)
    return np.ascontiguousarray(canvas), mask


def _grown_upwards(image: np.ndarray, rows: int) -> np.ndarray:
    edge = Image.fromarray(np.ascontiguousarray(image[:1]))
    blurs = (ImageFilter.GaussianBlur(SPREAD * distance) for distance in range(rows, 0, -1))
    return np.concatenate([*(np.asarray(edge.filter(blur)) for blur in blurs), image])


def _check_pair(image: np.ndarray, mask: np.ndarray) -> None:
    check_uint8("image", image)
    check_mask(mask)
    if image.shape[-3:-1] != mask.shape[-2:]:
        raise ValueError(
            f"mask has shape {mask.shape}, the picture {image.shape}; `fitted` gives both one size"
        )
