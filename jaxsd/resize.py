"""Pictures in the sizes that feature networks and thumbnails have. Pillow, as `jaxsd.images`."""

import numpy as np
from PIL import Image, ImageOps

BICUBIC = Image.Resampling.BICUBIC


def clean_resize(image: np.ndarray, side: int) -> np.ndarray:
    """A picture as a square, as FID ought to see it (Parmar et al. 2022, section 3).

    Each channel is resized by itself in float32, by a bicubic filter that widens where the picture
    shrinks, and nothing is rounded after it. clean-fid gives the same numbers.

    Args:
      image: uint8 [H, W, 3].

    Returns:
      float32 [side, side, 3], 0 to 255.
    """
    channels = (Image.fromarray(image[..., i].astype(np.float32)) for i in range(3))
    resized = [np.asarray(channel.resize((side, side), BICUBIC)) for channel in channels]
    return np.stack(resized, axis=-1).clip(0, 255)


def clip_resize(image: np.ndarray, side: int) -> np.ndarray:
    """The middle of a picture whose shorter side has a length, as CLIP sees it.

    uint8 [H, W, 3] -> uint8 [side, side, 3]; a bicubic filter, rounded, as transformers' processor.
    """
    height, width = image.shape[:2]
    shorter = min(height, width)
    size = (side * width // shorter, side * height // shorter)
    resized = Image.fromarray(image).resize(size, BICUBIC)
    left, top = ((length - side) // 2 for length in size)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """A picture, uint8 [H, W, 3], as large as fits into a white square, uint8 [side, side, 3]."""
    return np.asarray(ImageOps.pad(Image.fromarray(image), (side, side), BICUBIC, "white"))
