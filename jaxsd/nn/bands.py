"""Maps computed a few rows at a time, so that what lies between stays in the processor's cache."""

from collections.abc import Callable
from itertools import product

import jax
import jax.numpy as jnp

from jaxsd.nn.bits import mapped, moved
from jaxsd.types import Array


def in_bands(
    form: Callable[[Array], Array], x: Array, channels: int, most: int, unit: int = 1
) -> Array:
    """`form` of `x` padded by one; for large maps, a few rows of an image at a time.

    Args:
      form: [B, h + 2, w + 2, c] -> [B, n h, n w, d].
      x: [B, h, w, c].
      channels: numbers that are counted for each pixel of `x`.
      most: numbers up to which there is one band.
      unit: rows of a band are a multiple of this; it divides h.
    """
    batch, height, width, _ = x.shape
    padded = moved(_padded, x)
    if x[..., 0].size * channels <= most:
        return form(padded)
    fits = most // (width * channels)
    rows = max(n for n in range(unit, max(unit, fits) + 1, unit) if height % n == 0)

    def band(at: Array) -> Array:
        image, row = at
        size = (1, rows + 2, width + 2, x.shape[-1])

        def part(padded: Array, image: Array, row: Array) -> Array:
            return jax.lax.dynamic_slice(padded, (image, row, 0, 0), size)

        return form(moved(part, padded, image, row))[0]

    places = product(range(batch), range(0, height, rows))
    out = mapped(band, jnp.array(list(places)))
    return out.reshape(batch, -1, *out.shape[2:])


def _padded(x: Array) -> Array:
    return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
