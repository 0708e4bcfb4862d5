"""The initial noise of images: of their seeds, varied by other seeds, or kept from another size.

As webui's variation seeds and "resize seed from".
"""

from collections.abc import Callable, Sequence

import numpy as np
from jax.sharding import Mesh

from jaxsd.executables import Executables
from jaxsd.pipeline.batches import image_keys, placed
from jaxsd.sampling.program import initial_noise
from jaxsd.settings import Settings
from jaxsd.types import Array

Draw = Callable[[int, tuple[int, int, int]], np.ndarray]
"""(seed, shape [h, w, c]) -> unit noise, float32."""

_PARALLEL = 0.9995
"""Cosine from which two noises are taken for one."""


def is_varied(settings: Settings) -> bool:
    """Whether an image begins with other noise than that of its seed alone."""
    return settings.variation_strength > 0 or any(settings.seed_resize)


def initial(
    run: Executables,
    settings: Sequence[Settings],
    shape: tuple[int, int, int],
    downscale: int,
    keys: Array,
    mesh: Mesh | None,
) -> Array:
    """The initial noise of a batch, [B, h, w, c] float32 where the programs need it.

    Args:
      run: of a pipeline.
      settings: checked, one per image of this host.
      shape: of the latents of an image.
      downscale: of the autoencoder.
      keys: of the seeds.
      mesh: as `Pipeline.mesh`.
    """
    if not any(map(is_varied, settings)):
        return run(initial_noise, {"shape": shape}, keys=keys)

    def draw(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
        return np.asarray(run(initial_noise, {"shape": shape}, keys=image_keys([seed])))[0]

    return placed(np.stack([varied(one, shape, downscale, draw) for one in settings]), mesh)


def varied(
    settings: Settings, shape: tuple[int, int, int], downscale: int, draw: Draw
) -> np.ndarray:
    """The initial noise of an image, float32 [h, w, c].

    Args:
      settings: checked.
      shape: of the image's latents.
      downscale: of the autoencoder.
      draw: the noise of a seed.
    """
    width, height = (side // downscale for side in settings.seed_resize)
    own = (height, width, shape[2]) if any(settings.seed_resize) else shape
    noise = draw(settings.seed, own)
    if settings.variation_strength > 0:
        other = draw(settings.variation_seed, own)
        noise = slerp(settings.variation_strength, noise, other)
    return noise if own == shape else centred(noise, draw(settings.seed, shape))


def slerp(share: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Noise on the way from `low` to `high`, [h, w, c] (Shoemake 1985).

    Each column of each channel turns by itself, as in webui, whose vectors lie along the height.
    """
    lengths = (np.linalg.norm(one, axis=0, keepdims=True) for one in (low, high))
    cosine = (low * high).sum(axis=0, keepdims=True) / np.prod(list(lengths), axis=0)
    straight = (1 - share) * low + share * high
    if cosine.mean() > _PARALLEL:
        return straight
    angle = np.arccos(cosine.clip(-1, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        turned = np.sin((1 - share) * angle) * low + np.sin(share * angle) * high
        turned = turned / np.sin(angle)
    return np.where(np.isfinite(turned), turned, straight).astype(np.float32)


def centred(noise: np.ndarray, around: np.ndarray) -> np.ndarray:
    """`around` [h, w, c] with the middle of `noise`, of another size, in its own middle."""
    into, out = [], []
    for size, space in zip(noise.shape[:2], around.shape[:2], strict=True):
        # Halves are rounded down, also below zero, as webui's are.
        shift = (space - size) // 2
        length = size if shift >= 0 else size + 2 * shift
        into.append(slice(max(shift, 0), max(shift, 0) + length))
        out.append(slice(max(-shift, 0), max(-shift, 0) + length))
    filled = around.copy()
    filled[tuple(into)] = noise[tuple(out)]
    return filled
