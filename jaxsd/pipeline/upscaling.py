"""Pictures enlarged by networks, tile by tile, so that memory does not grow with the picture."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from jaxsd.convert.upscaler import read_upscaler
from jaxsd.executables import IN_MEMORY, Executables
from jaxsd.images import check_uint8, to_uint8
from jaxsd.memory import check_enlarged
from jaxsd.models.upscalers import UpscalerNetwork, upscaler
from jaxsd.parallel import EVERYWHERE
from jaxsd.sampling.program import upscaled
from jaxsd.types import Array, Params

TILE = 256
"""Pixels along the side of a tile, its surroundings apart."""
SURROUNDINGS = 64
"""Pixels around a tile that a call sees at most."""

Progress = Callable[[int], Any]
"""Is told how many tiles are done."""


@dataclass(frozen=True, repr=False)
class Upscaler:
    """A network that enlarges pictures.

    Attributes:
      network: as a function of parameters.
      params: on the device, or on all devices of the mesh.
      mesh: of the images; None for JAX's default device.
      run: runs the program.
    """

    network: UpscalerNetwork
    params: Params
    mesh: Mesh | None = None
    run: Executables = IN_MEMORY

    @property
    def scale(self) -> int:
        """Pixels along a side that are made of one."""
        return self.network.config.scale

    def picture(
        self, image: np.ndarray, tile: int = TILE, progress: Progress | None = None
    ) -> np.ndarray:
        """A picture, enlarged.

        Args:
          image: uint8 [H, W, 3].
          tile: pixels along the side of what a call enlarges, from 16 on; 0 for all at once.
          progress: called after each tile.

        Returns:
          uint8 [scale H, scale W, 3].

        Raises:
          ValueError: another dtype or shape, or a result that does not fit into memory.
          FloatingPointError: what the network made is not finite.
        """
        check_uint8("image", image)
        if image.ndim != 3 or image.shape[-1] != 3 or not image.size:
            raise ValueError(f"image has shape {image.shape}; [H, W, 3] is needed")
        (height, width), side = image.shape[:2], self.network.config.folded
        check_enlarged(height * self.scale, width * self.scale)
        more = [(0, -height % side), (0, -width % side), (0, 0)]
        whole = np.pad(image, more, "reflect")[None]
        made = np.empty((height * self.scale, width * self.scale, 3), np.uint8)
        rows, columns = (self._windows(length, tile) for length in whole.shape[1:3])
        for number, (down, along) in enumerate((y, x) for y in rows for x in columns):
            seen = whole[:, down.seen, along.seen].astype(np.float32) / 255
            part = np.asarray(self._whole(seen))[0, down.kept, along.kept]
            if not np.isfinite(part).all():
                raise FloatingPointError("the network's output was not finite; try dtype float32")
            there = made[down.place, along.place]
            there[...] = to_uint8(part[: there.shape[0], : there.shape[1]] * 2 - 1)
            if progress is not None:
                progress(number + 1)
        return made

    def calls(self, height: int, width: int, tile: int = TILE) -> int:
        """How many tiles a picture of a size has."""
        return len(self._windows(height, tile)) * len(self._windows(width, tile))

    def __call__(self, images: Array) -> Array:
        """Images [B, h, w, 3] float32 in [0, 1], enlarged on the device tile by tile."""
        rows, columns = (self._windows(length, TILE) for length in images.shape[1:3])

        def part(down: "_Window", along: "_Window") -> Array:
            return self._whole(images[:, down.seen, along.seen])[:, down.kept, along.kept]

        lines = [jnp.concatenate([part(y, x) for x in columns], axis=2) for y in rows]
        return jnp.concatenate(lines, axis=1)

    def _whole(self, images: Array) -> Array:
        static = {"network": self.network, "mesh": self.mesh}
        return self.run(upscaled, static, params=self.params, images=images)

    def _windows(self, length: int, tile: int) -> list["_Window"]:
        config = self.network.config
        tile = -(-tile // config.folded) * config.folded or length
        return windows(length, tile, min(config.reach, SURROUNDINGS), self.scale)


@dataclass(frozen=True)
class _Window:
    """A tile along one side of a picture."""

    seen: slice  # of the picture
    kept: slice  # of what is made of that
    place: slice  # of the whole result


def windows(length: int, tile: int, around: int, scale: int) -> list[_Window]:
    """Tiles of a length, all of which see the same number of pixels.

    A tile sees `around` pixels on both sides of it, or more, where the picture has them.
    """
    sees, found = min(tile + 2 * around, length), []
    for first in range(0, length, tile if sees < length else length):
        end = min(first + tile, length) if sees < length else length
        start = min(max(first - around, 0), length - sees)
        kept = slice((first - start) * scale, (end - start) * scale)
        place = slice(first * scale, end * scale)
        found.append(_Window(slice(start, start + sees), kept, place))
    return found


def load_upscaler(
    file: str | Path,
    dtype: str = "float32",
    mesh: Mesh | None = None,
    run: Executables = IN_MEMORY,
) -> Upscaler:
    """A network that enlarges pictures; the last one stays in memory.

    Args:
      file: `.pth` or `.safetensors`, of ESRGAN, Real-ESRGAN or a residual dense network.
      dtype: what it computes in.
      mesh: as `Pipeline.mesh`.
      run: as `Pipeline.programs`.

    Raises:
      ValueError: one line that says what is wrong with the file.
      FileNotFoundError: no such file.
    """
    path = Path(file)
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    return Upscaler(*_network(path, changed, dtype, mesh), mesh, run)


@lru_cache(maxsize=1)
def _network(
    path: Path, changed: int, dtype: str, mesh: Mesh | None
) -> tuple[UpscalerNetwork, Params]:
    config, params = read_upscaler(path)
    place = None if mesh is None else NamedSharding(mesh, EVERYWHERE)
    return upscaler(config, jnp.dtype(dtype)), jax.device_put(params, place)


def enlarged_by(network: Upscaler, images: Array, times: float) -> Array:
    """Images [B, h, w, 3] in [-1, 1], enlarged so often that they are `times` as large, or larger.

    As webui does it, which rounds them to bytes between.
    """
    often = 1 if network.scale == 1 else math.ceil(math.log(times, network.scale) - 1e-9)
    images = images / 2 + 0.5
    for _ in range(often):
        images = network(images)
    return images * 2 - 1
