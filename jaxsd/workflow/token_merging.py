"""Token merging (Bolya & Hoffman 2023, "Token merging for fast Stable Diffusion"), as in ComfyUI.

Only the queries of self-attention at the first level are merged; keys and values are all tokens.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxsd.models.openings import Path, self_attention_by
from jaxsd.types import Array

SEED = 0
"""Of the pixel of four that others are merged into. ComfyUI draws it anew in each call."""


@dataclass(frozen=True)
class TokenMerging:
    """A U-Net whose self-attention merges tokens, used in its place.

    Attributes:
      network: the U-Net.
      ratio: share of the tokens that are merged, 0 to 1; three in four at most.
    """

    network: Any
    ratio: float

    def __getattr__(self, name: str) -> Any:
        """What the U-Net has."""
        return getattr(self.network, name)

    def apply(self, *args: Any, **options: Any) -> Any:
        """As `flax.linen.Module.apply`."""
        height, width = next(own.shape[1:3] for own in args if getattr(own, "ndim", 0) == 4)
        with self_attention_by(partial(self._attended, height, width)):
            return self.network.apply(*args, **options)

    def _attended(self, height: int, width: int, path: Path, run: Any, x: Array) -> Array:
        merged = int(x.shape[1] * self.ratio)
        if x.shape[1] != height * width or min(height, width) < 2 or merged == 0:
            return run(x)
        found = matches(x, merged, *divided(height, width))
        return unmerged(run(merged_of(x, found), x), found, x.shape[1])


class Matches(NamedTuple):
    """Tokens that stay and tokens that are merged, by their numbers."""

    into: np.ndarray  # [D] those that others are merged into
    alone: Array  # [B, U] those that stay by themselves
    merged: Array  # [B, r]
    target: Array  # [B, r] places in `into`


def divided(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the tokens that may be merged, and of one in each square of four."""
    rows, columns = height // 2, width // 2
    drawn = np.random.default_rng(SEED).integers(0, 4, (rows, columns))
    places = 2 * np.arange(rows)[:, None] + drawn // 2, 2 * np.arange(columns) + drawn % 2
    into = np.zeros((height, width), bool)
    into[places] = True
    return np.flatnonzero(~into), np.flatnonzero(into)


def matches(x: Array, count: int, others: np.ndarray, into: np.ndarray) -> Matches:
    """The `count` tokens of `others` that are most like one of `into`, by the cosine.

    Args:
      x: [B, L, d].
      count: at most all others are taken.
      others: numbers of the tokens that may be merged.
      into: and of those into which.
    """
    unit = x.astype(jnp.float32)
    unit = unit / jnp.linalg.norm(unit, axis=-1, keepdims=True)
    cosines = jnp.einsum("bsd,btd->bst", unit[:, others], unit[:, into], precision="highest")
    order = jnp.argsort(-cosines.max(axis=-1), axis=-1)
    first, rest = order[:, :count], order[:, count:]
    target = jnp.take_along_axis(cosines.argmax(axis=-1), first, axis=-1)
    numbers = jnp.asarray(others)
    return Matches(into, numbers[rest], numbers[first], target)


def merged_of(x: Array, found: Matches) -> Array:
    """[B, L, d] -> [B, U + D, d]: tokens that stay, and means of those that are merged."""
    taken = partial(jnp.take_along_axis, x.astype(jnp.float32), axis=1)
    images = jnp.arange(len(x))[:, None]
    sums = x[:, found.into].astype(jnp.float32)
    sums = sums.at[images, found.target].add(taken(indices=found.merged[..., None]))
    counts = jnp.ones(sums.shape[:2]).at[images, found.target].add(1)
    alone = taken(indices=found.alone[..., None])
    return jnp.concatenate([alone, sums / counts[..., None]], axis=1).astype(x.dtype)


def unmerged(out: Array, found: Matches, length: int) -> Array:
    """[B, U + D, d] -> [B, L, d]: what was merged has what its target has."""
    alone, into = out[:, : found.alone.shape[1]], out[:, found.alone.shape[1] :]
    images = jnp.arange(len(out))[:, None]
    whole = jnp.zeros((len(out), length, out.shape[-1]), out.dtype)
    whole = whole.at[:, found.into].set(into).at[images, found.alone].set(alone)
    return whole.at[images, found.merged].set(into[images, found.target])
