"""Pictures, masks and latents in other sizes, as ComfyUI makes them: torch's `interpolate`."""

from collections.abc import Callable

import numpy as np

from jaxsd.images import stretched

LATENT_METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "bislerp")
IMAGE_METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")


def resized(x: np.ndarray, height: int, width: int, method: str) -> np.ndarray:
    """Arrays [B, h, w, c] in another size, float32.

    Args:
      x: see above.
      height: of the result.
      width: of the result.
      method: one of the two lists above.
    """
    x = np.asarray(x, np.float32)
    if x.shape[1:3] == (height, width):
        return x
    if method == "lanczos":
        pixels = np.clip(255 * x, 0, 255).astype(np.uint8)
        made = [stretched(one, height, width) for one in pixels]
        return np.stack(made).astype(np.float32) / 255
    if method == "bislerp":
        return _bislerped(_bislerped(x, 2, width), 1, height)
    for axis, new in ((1, height), (2, width)):
        weights = weights_of(method, x.shape[axis], new)
        x = np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis)
    return np.ascontiguousarray(x)


def weights_of(method: str, old: int, new: int) -> np.ndarray:
    """[new, old] float32: how much of each old pixel a new one has, along a side.

    For all methods but "lanczos" and "bislerp", which are no weighted sums.
    """
    return _WEIGHTS[method](old, new)


def common_upscale(x: np.ndarray, height: int, width: int, method: str, crop: str) -> np.ndarray:
    """The same; with crop "center" the middle of the new shape is cut out first."""
    if crop == "center":
        old, new = x.shape[2] / x.shape[1], width / height
        left = round((x.shape[2] - x.shape[2] * (new / old)) / 2) if old > new else 0
        top = round((x.shape[1] - x.shape[1] * (old / new)) / 2) if old < new else 0
        x = x[:, top : x.shape[1] - top, left : x.shape[2] - left]
    return resized(x, height, width, method)


def nearest_centred(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture [B, H, W, 3] in the size in which ControlNets see it."""
    return common_upscale(image, height, width, "nearest-exact", "center")


def _nearest(old: int, new: int) -> np.ndarray:
    """[new, old]: the pixel that covers the middle of a new one."""
    place = np.floor((np.arange(new) + 0.5) * (old / new)).astype(int)
    return np.eye(old, dtype=np.float32)[np.minimum(place, old - 1)]


def _area(old: int, new: int) -> np.ndarray:
    """[new, old]: the mean of all pixels that a new one touches."""
    weights = np.zeros((new, old), np.float32)
    for i in range(new):
        first, end = i * old // new, -(-(i + 1) * old // new)
        weights[i, first:end] = 1 / (end - first)
    return weights


def _linear(old: int, new: int) -> np.ndarray:
    return _spread(old, new, lambda t: np.maximum(1 - np.abs(t), 0), (0, 1), clipped=True)


def _cubic(old: int, new: int) -> np.ndarray:
    return _spread(old, new, _keys, (-1, 0, 1, 2), clipped=False)


def _keys(t: np.ndarray, a: float = -0.75) -> np.ndarray:
    """The cubic convolution kernel (Keys 1981) with torch's constant."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def _spread(
    old: int,
    new: int,
    kernel: Callable[[np.ndarray], np.ndarray],
    around: tuple[int, ...],
    *,
    clipped: bool,
) -> np.ndarray:
    """[new, old]: weights of pixels around the middle of a new one; borders are repeated."""
    middle = (np.arange(new) + 0.5) * (old / new) - 0.5
    if clipped:
        middle = np.maximum(middle, 0)
    first = np.floor(middle).astype(int)
    weights = np.zeros((new, old))
    for step in around:
        place = np.clip(first + step, 0, old - 1)
        np.add.at(weights, (np.arange(new), place), kernel(middle - (first + step)))
    return weights.astype(np.float32)


_WEIGHTS = {"nearest-exact": _nearest, "area": _area, "bilinear": _linear, "bicubic": _cubic}


def _bislerped(x: np.ndarray, axis: int, new: int) -> np.ndarray:
    """Latents along one side, turned from one pixel to the next: directions by the angle between
    them, lengths in proportion.
    """
    old = x.shape[axis]
    middle = (np.arange(new) + 0.5) * (old / new) - 0.5
    place = np.maximum(middle, 0)
    first = np.floor(place).astype(int)
    share = (place - first).astype(np.float32)
    low, high = (np.take(x, np.clip(first + k, 0, old - 1), axis) for k in (0, 1))
    shape = [1] * x.ndim
    shape[axis] = new
    return slerped(low, high, share.reshape(shape))


def slerped(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Vectors [..., c] on the way from `low` to `high` (Shoemake 1985)."""
    lengths = [np.linalg.norm(one, axis=-1, keepdims=True) for one in (low, high)]
    units = [
        np.divide(one, length, out=np.zeros_like(one), where=length > 0)
        for one, length in zip((low, high), lengths, strict=True)
    ]
    cosine = (units[0] * units[1]).sum(axis=-1, keepdims=True)
    angle = np.arccos(np.clip(cosine, -1, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        turned = np.sin((1 - share) * angle) * units[0] + np.sin(share * angle) * units[1]
        turned = turned / np.sin(angle) * (lengths[0] * (1 - share) + lengths[1] * share)
    made = np.where(cosine < 1e-5 - 1, low * (1 - share) + high * share, turned)
    return np.where(cosine > 1 - 1e-5, low, made).astype(np.float32)
