"""What never fits into memory, found before anything is compiled.

These are lower bounds: what passes may still be too much for a device.
"""

import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jaxsd.config import FRAMES_TOGETHER, ModelSpec, TinyVAEConfig, VAEConfig
from jaxsd.settings import Settings

SMALLEST = 2
"""Bytes of a number in the smallest dtype that networks compute in."""


def check_drawing(
    settings: Settings, spec: ModelSpec, images: int, together: int, device: float = 0
) -> None:
    """Refuses pictures that are larger, or more, than memory can hold.

    Counted are the pictures, and one layer of the decoder.

    Args:
      settings: checked, of the largest of the pictures.
      spec: of the model.
      images: pictures that are kept until the last is drawn.
      together: of them, those that a device draws at a time.
      device: bytes of that device; 0 for those of a device here.

    Raises:
      ValueError: they do not fit.
    """
    vae, (height, width) = spec.vae, settings.final_size
    if vae is None:
        return
    kept = images * height * width * vae.image_channels
    if settings.motion:
        together = min(together, FRAMES_TOGETHER)
    tile = settings.vae_tile or max(height, width)
    drawn = together * min(height, tile) * min(width, tile) * _width(vae) * SMALLEST
    plural = "s" * (images > 1)
    _check(
        kept,
        drawn,
        f"{images} picture{plural} of {width} x {height}",
        "take smaller or fewer, or vae_tile",
        device,
    )


def check_enlarged(height: int, width: int) -> None:
    """Refuses a picture whose bytes memory can not hold.

    Raises:
      ValueError: it does not fit.
    """
    _check(3 * height * width, 0, f"a picture of {width} x {height}", "take a smaller one")


def check_batch(spec: ModelSpec, side: int, images: int, accumulate: int, *, latents: bool) -> None:
    """Refuses batches of which memory can not hold the input and one layer of the U-Net.

    Args:
      spec: of the model that is trained.
      side: of the pictures, in pixels.
      images: in a batch, of one device.
      accumulate: batches that are in memory together, one of them in work.
      latents: whether a batch has latents, or else pictures.

    Raises:
      ValueError: they do not fit.
    """
    vae, area = spec.vae, (side // spec.vae.downscale) ** 2
    given = area * vae.latent_channels * SMALLEST if latents else side**2 * vae.image_channels
    layer = area * spec.unet.levels[0].channels * SMALLEST
    what = f"{accumulate} x {images} pictures of {side} x {side} on a device"
    need = images * (accumulate * given + layer)
    _check(0, need, what, "lower batch_size, accumulate or resolution")


def check_crops(vae: VAEConfig | TinyVAEConfig, side: int, images: int, accumulate: int) -> None:
    """The same for an autoencoder that is trained on crops of pictures, and one of its layers.

    Raises:
      ValueError: they do not fit.
    """
    each = accumulate * vae.image_channels + _width(vae) * SMALLEST
    what = f"{accumulate} x {images} crops of {side} x {side} on a device"
    _check(0, images * side**2 * each, what, "lower batch_size, accumulate or crop")


def check_trained(leaves: Iterable[Any], remedy: str) -> None:
    """Refuses weights that do not fit together with their averages, both in float32.

    Args:
      leaves: arrays, or their shapes.
      remedy: what the user can change.

    Raises:
      ValueError: they do not fit.
    """
    numbers = sum(leaf.size for leaf in leaves)
    _check(0, 2 * 4 * numbers, f"training {numbers} weights", remedy)


def _width(vae: VAEConfig | TinyVAEConfig) -> int:
    """Channels of the largest layer."""
    return vae.channels[0] if isinstance(vae, VAEConfig) else vae.channels


def _check(kept: int, worked: int, what: str, remedy: str, device: float = 0) -> None:
    """Refuses what needs more than `kept` bytes on the host and `worked` on a device."""
    there, own = host_bytes(), device
    # Only where jax is here already, or the answer depends on it: to import it takes long.
    if not own and ("jax" in sys.modules or kept + worked > there):
        own = _device_bytes()
    parts = ((kept, there), (worked, own)) if own else ((kept + worked, there),)
    for need, there in parts:
        if need > there:
            raise ValueError(
                f"{math.ceil(need / 1e9)} GB of memory are the least for {what}, and there are "
                f"{there / 1e9:.0f}; {remedy}"
            )


def host_bytes() -> int:
    """Memory that this program may have: the machine's, or less where a control group says so."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))])


def _limits(groups: Path, mount: Path) -> Iterator[int]:
    """The limits of a process's control groups, version 1 or 2, and of those above them.

    Args:
      groups: lists the groups, a line NUMBER:CONTROLLERS:PATH for each.
      mount: where their files are; a container sees its own group there, whatever its path.
    """
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, name = mount, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = mount / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = top / path.strip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(top) and (folder / name).is_file():
                limit = (folder / name).read_text(encoding="utf-8").strip()
                yield from [int(limit)] if limit.isdigit() else []  # else "max"


def _device_bytes() -> int:
    """Memory of a device, if it has its own."""
    # Imported here because it takes long.
    import jax

    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0)
