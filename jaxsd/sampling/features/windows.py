"""MultiDiffusion (Bar-Tal et al. 2023): the U-Net sees a large picture in overlapping windows.

In each row its outputs for all windows are averaged by weights (equation 5; for samplers that are
linear in the output, which all here are, it is the same to average their steps). Only the maps of
one window are in memory.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsd.sampling.call import Answer, Call, Networks, UNetCall
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.loop import Memory, Step
from jaxsd.types import Array, Params


class Windows(NamedTuple):
    """W windows, the same for all images. A pixel's weights, down times along, add up to 1."""

    corners: Array  # [B, W, 2] int32, first row and column
    down: Array  # [B, W, h'] float32, weights of the rows of a window of h' x w'
    along: Array  # [B, W, w'] float32, of its columns


def hold(networks: Networks, params: Params, given: Windows, beginning: Beginning) -> Windows:
    """The windows."""
    return given


def wrap(networks: Networks, params: Params, held: Windows, unet: UNetCall) -> UNetCall:
    """The weighted mean of what the U-Net answers for each window, which are run in turn."""
    sides = held.down.shape[-1], held.along.shape[-1]
    of_all = jax.tree.map(lambda a: a[0], held)

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        whole = call.x.shape[1:3]

        def add(total: Array, window: Windows) -> tuple[Array, None]:
            cut = partial(_cut, window.corners, sides, whole)
            answer, _ = unet(call._replace(x=cut(call.x), cut=cut), step, memory)
            weights = jnp.outer(window.down, window.along)
            weighted = answer.output * weights[None, :, :, None]
            start = (0, *window.corners, 0)
            before = jax.lax.dynamic_slice(total, start, weighted.shape)
            return jax.lax.dynamic_update_slice(total, before + weighted, start), None

        channels = networks.unet.config.out_channels
        total = jnp.zeros((*call.x.shape[:3], channels), jnp.float32)
        total, _ = jax.lax.scan(add, total, of_all)
        return Answer(total, total[..., :0]), memory  # deep features are those of windows

    return changed


def _cut(corner: Array, sides: tuple[int, int], whole: tuple[int, int], a: Array) -> Array:
    """A window of maps [N, h, w, c] of the whole picture, at whatever level of the U-Net they are.

    Corners and sides are multiples of what a U-Net halves, so that they are whole numbers there.
    """
    own = a.shape[1:3]
    start = [first * side // full for first, side, full in zip(corner, own, whole, strict=True)]
    size = [part * side // full for part, side, full in zip(sides, own, whole, strict=True)]
    return jax.lax.dynamic_slice(a, (0, *start, 0), (len(a), *size, a.shape[-1]))


FEATURE = Feature(hold=hold, wrap=wrap)
