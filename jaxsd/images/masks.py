"""Masks: which part of a picture is painted, and how softly.

In a file and as uint8 a mask is 255 where the picture is painted, 0 where it is kept, and between
where it is partly painted. As floats it is 1, 0 and between.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from jaxsd.images.opening import File, opened, upright
from jaxsd.images.pixels import bytes_of, check_uint8


def read_mask(path: File) -> np.ndarray:
    """A mask file as uint8 [H, W], the right way up: white is painted, black is kept.

    Colours count by their luminance. Where any pixel is transparent, the alpha channel counts and
    colours do not: transparent is painted, as in ComfyUI's `LoadImage` and OpenAI's
    `/v1/images/edits`; webui's API means the opposite (`read_opaque_mask`).

    Args:
      path: a file, or its bytes, with 1, 8 or 16 bits, a palette, or floats in [0, 1].

    Raises:
      OSError: as in `read_image`.
    """
    grey, alpha = _read_mask(path)
    return grey if alpha is None else 255 - alpha


def read_opaque_mask(path: File) -> np.ndarray:
    """The same, but of a mask with transparent pixels the opaque ones are painted.

    So webui's API takes masks (`create_binary_mask`). Arguments and errors are as for `read_mask`.
    """
    grey, alpha = _read_mask(path)
    return grey if alpha is None else alpha


def _read_mask(path: File) -> tuple[np.ndarray, np.ndarray | None]:
    """Luminance, and the alpha channel where any pixel is transparent."""
    with opened(path) as image:
        image = upright(image)
        if not image.has_transparency_data:
            return bytes_of(image, lambda band: band.convert("L")), None
        alpha = bytes_of(image, lambda band: band.convert("RGBA").getchannel("A"))
        grey = bytes_of(image, lambda band: band.convert("RGBA").convert("L"))
        return grey, alpha if alpha.min() < 255 else None


def box_mask(box: Sequence[float], height: int, width: int) -> np.ndarray:
    """The mask uint8 [H, W] of a box: 255 inside, at least one pixel.

    Args:
      box: its left and top side, its width and height, in shares of the sides, [0, 1].
      height: of the mask, in pixels.
      width: likewise.
    """
    mask = np.zeros((height, width), np.uint8)
    x, y, wide, tall = box
    left, top = min(round(x * width), width - 1), min(round(y * height), height - 1)
    right, bottom = round((x + wide) * width), round((y + tall) * height)
    mask[top : max(bottom, top + 1), left : max(right, left + 1)] = 255
    return mask


def feathered(mask: np.ndarray, radius: float) -> np.ndarray:
    """A mask whose borders are blurred.

    Farther than about 3 * radius from a border it stays exactly 0 or 1, since Pillow's Gaussian is
    three box filters. Outside the picture its edge is repeated, so a mask that reaches the edge is
    not thinner there.

    Args:
      mask: uint8 [H, W].
      radius: standard deviation of the Gaussian in pixels, as webui's mask blur. 0 keeps the mask.

    Returns:
      float32 [H, W] in [0, 1].
    """
    check_uint8("mask", mask)
    if mask.ndim != 2:
        raise ValueError(f"mask has shape {mask.shape}; [H, W] is needed, use one channel")
    if not (math.isfinite(radius) and radius >= 0):
        raise ValueError(f"mask blur is {radius}; it must be 0 or more pixels")
    blurred = Image.fromarray(mask).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(blurred, np.float32) / 255


def binary(mask: np.ndarray) -> np.ndarray:
    """1 where a mask is 0.5 or more, else 0, as diffusers' mask processor: float32 [..., H, W]."""
    check_mask(mask)
    return (mask >= 0.5).astype(np.float32)


def latent_mask(mask: np.ndarray, downscale: int) -> np.ndarray:
    """A mask in the size of latents, for blending them.

    A latent pixel has the value of the first pixel of its block. That is nearest interpolation in
    PyTorch, which diffusers uses in `StableDiffusionInpaintPipeline.prepare_mask_latents`. The
    result is the same for a binary mask; diffusers rounds other masks first, but here greys stay
    grey. A mean over the block would be smoother for soft masks, but would make binary masks soft.
    With a rule for each kind, one grey pixel would change all others. A feathered mask hardly
    differs within a block.

    An inpainting U-Net was trained with binary masks: give it `latent_mask(binary(mask), 8)`.

    Args:
      mask: float [..., H, W] in [0, 1].
      downscale: of the autoencoder, 8 for Stable Diffusion.

    Returns:
      float32 [..., H / downscale, W / downscale].
    """
    check_mask(mask)
    height, width = mask.shape[-2:]
    if height % downscale or width % downscale:
        raise ValueError(
            f"mask is {width}x{height}; both sides must be multiples of {downscale}, "
            "`fitted` makes them so"
        )
    return np.ascontiguousarray(mask[..., ::downscale, ::downscale], np.float32)


def middles(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask for texts of regions, at the size of latents.

    A latent pixel has the mean of what lies at the middle of its block. That is PyTorch's bilinear
    interpolation, as ComfyUI's masks have it, and rounds an edge as that of a box is rounded.

    Args:
      mask: uint8 [H, W], whose sides are multiples of those of the latents.
      height: of the latents.
      width: of the latents.

    Returns:
      float64 [height, width] in [0, 1].
    """
    down, along = mask.shape[0] // height, mask.shape[1] // width
    rows, columns = ([(side - 1) // 2, side // 2] for side in (down, along))
    values = [mask[row::down, column::along] for row in rows for column in columns]
    return np.mean(values, axis=0) / 255


def check_mask(mask: np.ndarray) -> None:
    """Checks that a mask has floats in [0, 1].

    Raises:
      ValueError: another dtype, or values outside of [0, 1].
    """
    if not np.issubdtype(mask.dtype, np.floating):
        raise ValueError(
            f"mask is {mask.dtype}; floats in [0, 1] are needed, feathered(mask, 0) makes them"
        )
    if not (mask.min() >= 0 and mask.max() <= 1):
        raise ValueError(
            f"mask has values from {mask.min()} to {mask.max()}; they must be in [0, 1]"
        )
