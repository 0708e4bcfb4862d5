"""Self-attention guidance (Hong et al. 2023): away from a branch that is blurred where it matters.

The U-Net runs twice in a row, first for all other branches: x0 of the negative prompt's branch, or
of the prompt's without guidance, is blurred where its pixels are looked at most.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.models.openings import Path, attention_by, is_self_attention_of_middle
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Row, Step, denoised, per_image
from jaxsd.types import Array, Params

RADIUS = 4
"""Of the blur, in pixels of the latents."""


def blur_of(sigma: float) -> np.ndarray:
    """The weights [9] float32 of a Gaussian blur with a standard deviation of `sigma` pixels."""
    kernel = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / sigma) ** 2)
    return np.float32(kernel / kernel.sum())


def wrap(networks: Networks, params: Params, held: None, unet: UNetCall) -> UNetCall:
    """Blurs what the last branch of each image sees, by the weights in the column `sag` [B, 9].

    Rows whose weights are 0 are not changed.
    """
    halvings = len(networks.unet.config.levels) - 1

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        kernels, kept = step.columns["sag"], {}
        rows = kernels.any(axis=-1)
        first, last = _split(call, len(rows))
        with attention_by(partial(_kept, kept)):
            answer, memory = unet(first, _seen(step, slice(None, -1)), memory)
        output = _images(answer.output, len(rows))[:, 0]
        looked_at = _looked_at(*(_images(a, len(rows))[:, 0] for a in kept["q, k"]))
        blurred = _degraded(last.x, output, looked_at, step.row, halvings, kernels)
        x = jnp.where(rows[:, None, None, None], blurred, last.x)
        more, memory = unet(last._replace(x=x), _seen(step, slice(-1, None)), memory)
        return jax.tree.map(partial(_together, len(rows)), answer, more), memory

    return changed


def _seen(step: Step, branches: slice) -> Step:
    """The step of some branches: features ask which texts a call sees, and weights of each."""
    columns = step.columns | {"which": step.columns["which"][:, branches]}
    if "controlnet" in columns and columns["controlnet"].ndim > 2:
        columns["controlnet"] = columns["controlnet"][..., branches]
    return step._replace(columns=columns)


def _kept(
    kept: dict[str, Any], path: Path, attend: Callable[..., Array], q: Array, k: Array, v: Array
) -> Array:
    """Keeps queries and keys of the last such layer: a ControlNet has one too, and runs before."""
    if is_self_attention_of_middle(path) and path[-2] == "transformer_blocks_0":
        kept["q, k"] = q, k
    return attend(q, k, v)


def _looked_at(q: Array, k: Array) -> Array:
    """[B, L, heads, d] -> [B, L] bool: pixels that get more attention than each has to give."""
    logits = jnp.einsum("blhd,bmhd->bhlm", q, k, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(logits / q.shape[-1] ** 0.5, axis=-1)
    return weights.mean(axis=1).sum(axis=1) > 1


def _degraded(
    x: Array, output: Array, looked_at: Array, row: Row, halvings: int, kernels: Array
) -> Array:
    """Network inputs [B, h, w, c] whose x0 is blurred where it is looked at (equation 13)."""
    height, width = x.shape[1:3]
    low, wide = (-(-side // 2**halvings) for side in (height, width))
    mask = looked_at.reshape(len(x), low, wide, 1)
    mask = mask[:, np.arange(height) * low // height][:, :, np.arange(width) * wide // width]
    alpha, sigma = per_image(row.c_in, row.level).T
    x0 = denoised(x, output, row)
    noise = per_image(1 / sigma, x - per_image(alpha, x0))
    return per_image(alpha, jnp.where(mask, _blurred(x0, kernels), x0)) + per_image(sigma, noise)


def _blurred(x: Array, kernels: Array) -> Array:
    """A blur by weights [B, 9] along each side, mirrored at the borders."""
    for axis in (1, 2):
        sides = [(RADIUS, RADIUS) if i == axis else (0, 0) for i in range(4)]
        wide, count = jnp.pad(x, sides, mode="reflect"), x.shape[axis]
        x = sum(
            per_image(kernels[:, i], jax.lax.slice_in_dim(wide, i, i + count, axis=axis))
            for i in range(2 * RADIUS + 1)
        )
    return x


def _images(a: Array, batch: int) -> Array:
    """[B*K, ...] -> [B, K, ...]."""
    return a.reshape(batch, -1, *a.shape[1:])


def _split(call: Call, batch: int) -> tuple[Call, Call]:
    """The call for all branches but the last of each image, and the one for the last."""

    def part(branches: slice) -> Call:
        return jax.tree.map(
            lambda a: _images(a, batch)[:, branches].reshape(-1, *a.shape[1:]), call
        )

    return part(slice(None, -1)), part(slice(-1, None))


def _together(batch: int, first: Array, last: Array) -> Array:
    """Both of them again, [B*K, ...]."""
    both = jnp.concatenate([_images(first, batch), _images(last, batch)], axis=1)
    return both.reshape(-1, *first.shape[1:])


FEATURE = Feature(wrap=wrap)
