"""U-Nets in other forms, by functions around them: self-attention in tiles, maps that shrink."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.config import UNetConfig
from jaxsd.models.openings import Path, attention_by, blocks_by, joins_by
from jaxsd.types import Array
from jaxsd.workflow.resizing import weights_of


@dataclass(frozen=True)
class HyperTile:
    """A U-Net whose self-attention sees tiles, used in its place (ComfyUI's node HyperTile).

    Queries are divided into tiles of the map. The keys and values of a tile are as many tokens one
    behind the other, since ComfyUI does not divide those; and it takes height for width.

    Attributes:
      network: the U-Net.
      side: of a tile, in latents, at least.
      depth: how many levels below the first one are divided.
      grows: whether the tiles of a level have as many tokens along a side as those of the first.
    """

    network: Any
    side: int
    depth: int
    grows: bool

    def __getattr__(self, name: str) -> Any:
        """What the U-Net has."""
        return getattr(self.network, name)

    def apply(self, *args: Any, **options: Any) -> Any:
        """As `flax.linen.Module.apply`."""
        height, width = next(own.shape[1:3] for own in args if getattr(own, "ndim", 0) == 4)
        with attention_by(partial(self._attended, height, width)):
            return self.network.apply(*args, **options)

    def _attended(
        self, height: int, width: int, path: Path, attend: Any, q: Array, k: Array, v: Array
    ) -> Array:
        tokens = [height / 2**i * (width / 2**i) for i in range(self.depth + 1)]
        count = q.shape[1]
        if path[-1] != "attn1" or count not in tokens or k.shape[1] != count:
            return attend(q, k, v)
        factor = 2 ** tokens.index(count) if self.grows else 1
        sides = [round(math.sqrt(count * a / b)) for a, b in ((width, height), (height, width))]
        rows, columns = (side // smallest_divisor(side, self.side * factor) for side in sides)
        if sides[0] * sides[1] != count or rows * columns == 1:
            return attend(q, k, v)
        tiled = q.reshape(
            len(q), rows, sides[0] // rows, columns, sides[1] // columns, *q.shape[2:]
        )
        tiled = tiled.swapaxes(2, 3)
        parts = (-1, count // (rows * columns), *q.shape[2:])
        out = attend(tiled.reshape(parts), k.reshape(parts), v.reshape(parts))
        return out.reshape(tiled.shape).swapaxes(2, 3).reshape(q.shape)


def smallest_divisor(number: int, least: int) -> int:
    """The smallest divisor of a number that is not below `least`; the number, if it is below."""
    return next(one for one in range(min(least, number), number + 1) if number % one == 0)


@dataclass(frozen=True)
class DeepShrink:
    """A U-Net whose maps are smaller from a block on, for some timesteps, used in its place.

    On the way up they become as large again as the skips that they are joined with (kohya's Deep
    Shrink, as ComfyUI's node PatchModelAddDownscale).

    Attributes:
      network: the U-Net.
      block: behind which maps shrink, counted as in the original code: `conv_in` is 0, and resnets
        and downsamplings follow.
      factor: by which a side becomes shorter.
      after_skip: whether the block's skip keeps its size.
      down: method of `jaxsd.workflow.resizing` to make maps smaller.
      up: and larger again.
      timesteps: the lowest and the highest at which this is done.
    """

    network: Any
    block: int
    factor: float
    after_skip: bool
    down: str
    up: str
    timesteps: tuple[float, float]

    def __getattr__(self, name: str) -> Any:
        """What the U-Net has."""
        return getattr(self.network, name)

    def apply(self, *args: Any, **options: Any) -> tuple[Array, None]:
        """As `flax.linen.Module.apply`, of `UNet.around`, without deep features."""
        timestep, (lowest, highest) = args[3], self.timesteps

        def plain() -> Array:
            return self.network.apply(*args, **options)[0]

        def shrunk() -> Array:
            with blocks_by(self._run), joins_by(self._joined):
                return plain()

        is_in = ((timestep >= lowest) & (timestep <= highest)).all()
        return jax.lax.cond(is_in, shrunk, plain), None

    def _run(self, path: Path, run: Any, x: Array, *rest: Any) -> Array:
        ends = block_ends(self.network.config)
        if self.block >= len(ends) - 1:
            return run(x, *rest)
        if self.after_skip and path == ends[self.block + 1][0]:
            x = self._smaller(x)
        out = run(x, *rest)
        return self._smaller(out) if not self.after_skip and path == ends[self.block][1] else out

    def _smaller(self, x: Array) -> Array:
        height, width = (round(side * (1 / self.factor)) for side in x.shape[1:3])
        return resized(x, max(1, height), max(1, width), self.down)

    def _joined(self, path: Path, join: Any, x: Array, skip: Array) -> Array:
        if x.shape[1] != skip.shape[1]:
            x = resized(x, *skip.shape[1:3], self.up)
        return join(x, skip)


def block_ends(config: UNetConfig) -> list[tuple[Path, Path]]:
    """The first and the last module of each block on the way down, and the middle's."""
    ends: list[tuple[Path, Path]] = [(("conv_in",), ("conv_in",))]
    for i, level in enumerate(config.levels):
        for j in range(level.resnets):
            last = "attentions" if level.attention_depth else "resnets"
            block = f"down_blocks_{i}"
            ends.append(((block, f"resnets_{j}"), (block, f"{last}_{j}")))
        if i < len(config.levels) - 1:
            ends.append(((block, "downsamplers_0"),) * 2)
    return [*ends, (("mid_block", "resnets_0"), ("mid_block", "resnets_1"))]


def resized(x: Array, height: int, width: int, method: str) -> Array:
    """Maps [B, h, w, c] in another size, computed in float32."""
    made = x.astype(jnp.float32)
    for axis, new in ((1, height), (2, width)):
        weights = np.asarray(weights_of(method, x.shape[axis], new))
        made = jnp.moveaxis(jnp.tensordot(weights, made, (1, axis), precision="highest"), 0, axis)
    return made.astype(x.dtype)
