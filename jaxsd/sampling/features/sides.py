"""Guidance between the sides of a graph's texts, as ComfyUI's nodes change it.

Each class is a formula of the x0 of each side, with its numbers. It takes the place of
classifier-free guidance u + w*(c - u), where c is x0 of the positive side, u that of the negative
one, and w the guidance scale. Latents are x0 + sigma*noise. Some means are over the whole batch, as
in ComfyUI, so there pictures of one batch depend on each other.
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxsd.sampling.loop import per_image
from jaxsd.types import Array

IMAGE = (1, 2, 3)


class Sides(NamedTuple):
    """The x0 of each side [B, h, w, c]: 0 where none of its texts counts."""

    x: Array  # [B, h, w, c] float32 latents, x0 + sigma*noise
    negative: Array
    positive: Array
    empty: Array  # of a third side


class AdaptiveProjection(NamedTuple):
    """APG (Sadat et al. 2024, algorithm 1), with w for the paper's w - 1."""

    scale: Array  # [B] guidance scale w
    eta: Array  # [B] weight of the part along c
    norm: Array  # [B] the largest length of the guidance, 0 for any
    momentum: Array  # [B] weight of the guidance of the rows before

    def x0(self, sides: Sides, before: Array) -> tuple[Array, Array]:
        """The guided x0, and the guidance for the next row, [B, h, w, c] each."""
        change = sides.positive - sides.negative + per_image(self.momentum, before)
        bounded = jnp.minimum(1, self.norm / jnp.maximum(_length(change), 1e-12))
        kept = per_image(jnp.where(self.norm > 0, bounded, 1), change)
        unit = per_image(1 / jnp.maximum(_length(sides.positive), 1e-12), sides.positive)
        along = per_image(_dot(kept, unit), unit)
        return sides.positive + per_image(self.scale, kept + per_image(self.eta - 1, along)), change


class TangentialDamping(NamedTuple):
    """TCFG (Kwon et al. 2025): the negative noise without what is across to both.

    It keeps its part along the first right singular vector of the matrix whose rows are the noises
    of u and c. That is e_u*(e_u*u + e_c*c), where e is the first eigenvector of the rows' products.
    """

    scale: Array  # [B] guidance scale w

    def x0(self, sides: Sides, before: Array) -> tuple[Array, Array]:
        """The guided x0 [B, h, w, c], and `before`."""
        u, c = sides.x - sides.negative, sides.x - sides.positive
        angle = jnp.arctan2(2 * _dot(u, c), _dot(u, u) - _dot(c, c)) / 2
        of_u, of_c = jnp.cos(angle), jnp.sin(angle)
        damped = sides.x - per_image(of_u, per_image(of_u, u) + per_image(of_c, c))
        return damped + per_image(self.scale, sides.positive - damped), before


class OptimizedScale(NamedTuple):
    """CFG-Zero* (Fan et al. 2025, equation 9): s*u for u, where s = <n_c, n_u>/|n_u|^2.

    n are the noises of both. ComfyUI multiplies x0 by s, where the paper multiplies the output.
    """

    scale: Array  # [B] guidance scale w

    def x0(self, sides: Sides, before: Array) -> tuple[Array, Array]:
        """The guided x0 [B, h, w, c], and `before`."""
        u, c = sides.x - sides.negative, sides.x - sides.positive
        s = _dot(u, c) / (_dot(u, u) + 1e-8)
        guided = sides.negative + per_image(self.scale, sides.positive - sides.negative)
        return guided + per_image((1 - self.scale) * (s - 1), sides.negative), before


class TowardsPositive(NamedTuple):
    """ComfyUI's node "Mahiro": a mean of the guided x0 and of w*c.

    It has more of w*c, the less the middle of both is like w*u, by the cosines of their channels'
    signed square roots.
    """

    scale: Array  # [B] guidance scale w

    def x0(self, sides: Sides, before: Array) -> tuple[Array, Array]:
        """The guided x0 [B, h, w, c], and `before`."""
        leap, away = per_image(self.scale, sides.positive), per_image(self.scale, sides.negative)
        guided = sides.negative + leap - away
        similar = _cosines(_signed_root(away), _signed_root((leap + guided) / 2)).mean()
        share = (similar + 1) / 2
        return share * guided + (1 - share) * leap, before


class PerpendicularNegative(NamedTuple):
    """Perp-Neg (Armandpour et al. 2023, equation 8): only what of u is not along c counts.

    Both are seen from a third side, that of an empty text.
    """

    scale: Array  # [B] guidance scale w
    weight: Array  # [B] of the negative side

    def x0(self, sides: Sides, before: Array) -> tuple[Array, Array]:
        """The guided x0 [B, h, w, c], and `before`."""
        c, u = sides.positive - sides.empty, sides.negative - sides.empty
        square = (c**2).sum()
        along = jnp.where(square > 0, (u * c).sum() / jnp.where(square > 0, square, 1), 0)
        across = per_image(self.weight, u - along * c)
        return sides.empty + per_image(self.scale, c - across), before


Formula = (
    AdaptiveProjection
    | TangentialDamping
    | OptimizedScale
    | TowardsPositive
    | PerpendicularNegative
)


def _dot(a: Array, b: Array) -> Array:
    """[B] of two arrays [B, h, w, c]."""
    return (a * b).sum(IMAGE)


def _length(a: Array) -> Array:
    return jnp.sqrt(_dot(a, a))


def _signed_root(a: Array) -> Array:
    return jnp.sign(a) * jnp.sqrt(jnp.abs(a))


def _cosines(a: Array, b: Array) -> Array:
    """The cosine of each pixel's channels, [B, h, w]; 0 where one of them is 0."""
    lengths = [jnp.maximum(jnp.sqrt((one**2).sum(-1)), 1e-8) for one in (a, b)]
    return (a * b).sum(-1) / (lengths[0] * lengths[1])
