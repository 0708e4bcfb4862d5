"""Maps of depth in the size of latents, as depth-to-image models are trained."""

import numpy as np

_A = -0.75
"""Of the cubic kernel; PyTorch's."""


def latent_depth(depth: np.ndarray, downscale: int) -> np.ndarray:
    """A map of depth for latents, from -1 (farthest) to 1 (nearest); 0 where all is equally near.

    Args:
      depth: [H, W] of any numbers, larger is nearer; sides are multiples of `downscale`.
      downscale: of the autoencoder.

    Returns:
      float32 [H / downscale, W / downscale].
    """
    down, right = (_cubic(side, downscale) for side in depth.shape)
    small = down @ depth.astype(np.float64) @ right.T
    low, high = small.min(), small.max()
    if high - low < 1e-6:
        return np.zeros(small.shape, np.float32)
    return np.float32(2 * (small - low) / (high - low) - 1)


def _cubic(size: int, downscale: int) -> np.ndarray:
    """Cubic interpolation at the middles of blocks, [size / downscale, size] (Keys 1981, eq. 4).

    As PyTorch's `interpolate` without antialiasing; beyond the ends the last value counts.
    """
    middles = (np.arange(size // downscale) + 0.5) * downscale - 0.5
    weights = np.zeros((len(middles), size))
    for tap in range(-1, 3):
        places = np.floor(middles) + tap
        s = np.abs(middles - places)
        near = (_A + 2) * s**3 - (_A + 3) * s**2 + 1
        far = _A * (s**3 - 5 * s**2 + 8 * s - 4)
        columns = places.clip(0, size - 1).astype(int)
        np.add.at(weights, (np.arange(len(middles)), columns), np.where(s <= 1, near, far))
    return weights
