"""An autoencoder that works tile by tile, for pictures whose maps are larger than memory.

Tiles overlap by a quarter and are blended there, as in diffusers' `enable_tiling`. All have one
size here, so that the compiled network is one; there, those at the end are cut.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.config import TinyVAEConfig, VAEConfig
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.models.vae import VAE
from jaxsd.types import Array, Params

OVERLAP = 4
"""A tile shares the OVERLAP-th part of its side with the next, or more."""


@dataclass(frozen=True)
class TiledVAE:
    """A `VAE` or `TinyVAE` in tiles, used in its place.

    Attributes:
      vae: the whole one.
      tile: side of a tile in pixels, a multiple of the autoencoder's factor.
    """

    vae: VAE | TinyVAE
    tile: int

    @property
    def config(self) -> VAEConfig | TinyVAEConfig:
        """Of the whole one."""
        return self.vae.config

    @property
    def dtype(self) -> jnp.dtype:
        """Of the whole one."""
        return self.vae.dtype

    def apply(self, variables: Params, x: Array, *, method: str) -> Array | tuple[Array, Array]:
        """As `flax.linen.Module.apply`, for the methods "encode" and "decode"."""
        unit = self.config.downscale

        def run(part: Array) -> Array:
            made = self.vae.apply(variables, part, method=method)
            return made if method == "decode" else jnp.concatenate(made, axis=-1)

        if method == "decode":
            return blended(run, x, self.tile, grows=unit)
        mean, log_variance = jnp.split(blended(run, x, self.tile, shrinks=unit), 2, axis=-1)
        return mean, log_variance


def blended(
    run: Callable[[Array], Array], x: Array, tile: int, *, grows: int = 1, shrinks: int = 1
) -> Array:
    """What `run` makes of each tile of `x` [B, h, w, c], put together, float32.

    Args:
      run: [B, t, t', c] -> [B, t grows / shrinks, t' grows / shrinks, c'].
      x: see above.
      tile: side of a tile, in the larger of both maps.
      grows: see `run`.
      shrinks: see `run`; one of both is 1.
    """
    batch, *sides = x.shape[:3]
    pixels = [side * grows for side in sides]
    tiles = [min(tile, length) for length in pixels]
    if pixels == tiles:
        return run(x)
    unit = max(grows, shrinks)
    rows, columns = (
        tiling(length, own, own // OVERLAP, unit) for length, own in zip(pixels, tiles, strict=True)
    )
    seen = (batch, *(own // grows for own in tiles), x.shape[-1])
    made = (batch, *(own // shrinks for own in tiles), _channels(run, x, seen))

    def add(whole: Array, place: tuple[Array, ...]) -> tuple[Array, None]:
        down, along, falling, sideways = place
        part = jax.lax.dynamic_slice(x, (0, down // grows, along // grows, 0), seen)
        weight = falling[None, ::shrinks, None, None] * sideways[None, None, ::shrinks, None]
        corner = (0, down // shrinks, along // shrinks, 0)
        before = jax.lax.dynamic_slice(whole, corner, made)
        return jax.lax.dynamic_update_slice(whole, before + weight * run(part), corner), None

    each = [(i, j) for i in range(len(rows[0])) for j in range(len(columns[0]))]
    down, along = (np.array(numbers) for numbers in zip(*each, strict=True))
    places = (rows[0][down], columns[0][along], rows[1][down], columns[1][along])
    whole = jnp.zeros((batch, *(length // shrinks for length in pixels), made[-1]))
    return jax.lax.scan(add, whole, places)[0]


def _channels(run: Callable[[Array], Array], x: Array, seen: tuple[int, ...]) -> int:
    return jax.eval_shape(run, jax.ShapeDtypeStruct(seen, x.dtype)).shape[-1]


def tiling(length: int, tile: int, over: int, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """Where tiles begin, [n] int32, and the weight of each of their pixels, [n, tile] float32.

    Weights rise from the ends of a tile to `over` inside of it, and those of a place add up to 1.

    Args:
      length: of what is covered.
      tile: length of a tile.
      over: least length that a tile shares with the next; less than `tile`.
      unit: tiles begin at multiples of it; `length` and `tile` are some.
    """
    count = 1 + -(-(length - tile) // (tile - over))
    starts = np.round(np.linspace(0, (length - tile) / unit, count)).astype(np.int32) * unit
    inside = np.arange(tile) + 0.5
    rising = np.minimum(np.minimum(inside, inside[::-1]) / max(over, 1), 1)
    weights = np.stack([rising] * count)
    weights[0, : tile // 2] = weights[-1, tile - tile // 2 :] = 1
    total = np.zeros(length)
    for start, own in zip(starts, weights, strict=True):
        total[start : start + tile] += own
    return starts, np.stack(
        [own / total[s : s + tile] for s, own in zip(starts, weights, strict=True)]
    ).astype(np.float32)
