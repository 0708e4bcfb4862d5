"""What never fits into memory, found before anything is compiled.

These are lower bounds: what passes may still be too much for a device.
"""

import math
import os

from jaxsd.config import ModelSpec, VAEConfig
from jaxsd.settings import Settings

SMALLEST = 2
"""Bytes of a number in the smallest dtype that networks compute in."""


def check_drawing(settings: Settings, spec: ModelSpec, images: int, together: int) -> None:
    """Refuses pictures that are larger, or more, than memory can hold.

    Counted are the pictures, and one layer of the decoder.

    Args:
      settings: checked, of the largest of the pictures.
      spec: of the model.
      images: pictures that are kept until the last is drawn.
      together: of them, those that a device draws at a time.

    Raises:
      ValueError: they do not fit.
    """
    vae, (height, width) = spec.vae, settings.drawn_size
    if vae is None:
        return
    channels = vae.channels[0] if isinstance(vae, VAEConfig) else vae.channels
    each = height * width
    need = images * each * vae.image_channels + together * each * channels * SMALLEST
    plural = "s" * (images > 1)
    _check(need, f"{images} picture{plural} of {width} x {height}", "take smaller or fewer")


def check_batch(spec: ModelSpec, side: int, images: int) -> None:
    """Refuses batches of which memory can not hold one layer of the U-Net.

    Args:
      spec: of the model that is trained.
      side: of the pictures, in pixels.
      images: in a batch, of one device.

    Raises:
      ValueError: they do not fit.
    """
    layer = (side // spec.vae.downscale) ** 2 * spec.unet.levels[0].channels * SMALLEST
    what = f"a batch of {images} pictures of {side} x {side} on a device"
    _check(images * layer, what, "lower batch_size or resolution")


def _check(need: int, what: str, remedy: str) -> None:
    if need <= host_bytes() or need <= (there := max(host_bytes(), _device_bytes())):
        return
    raise ValueError(
        f"{math.ceil(need / 1e9)} GB of memory are the least for {what}, and there are "
        f"{there / 1e9:.0f}; {remedy}"
    )


def host_bytes() -> int:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _device_bytes() -> int:
    """Memory of a device, if it has its own."""
    # Imported here because only what is larger than the machine's memory needs it.
    import jax

    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0)
