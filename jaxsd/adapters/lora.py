"""Low-rank adaptation of kernels (Hu et al. 2021, "LoRA", arXiv:2106.09685).

A LoRA is a flat dict from the paths of kernels in a pipeline's tree, `{"unet": tree, "text":
[tree, ...]}`, to the factors of the change that is added to each kernel:

    unet/down_blocks_0/attentions_0/transformer_blocks_0/attn1/to_q/kernel
    text/0/encoder/layers_0/self_attn/q_proj/kernel

    of a dense kernel [in, out]:         down [in, rank], up [rank, out], alpha []
    of a convolution [h, w, in, out]:    down [h, w, in, rank], up [1, 1, rank, out], alpha []
    of a convolution, decomposed twice:  down [1, 1, in, rank], mid [h, w, rank, rank],
                                         up [1, 1, rank, out], alpha []

A list of text encoders and a dict of them by "0" and "1" have the same paths. The factors are
pytrees of arrays for `jax.grad`. Alpha has no gradient; exclude it from weight decay. Files may
have other kinds of changes, also of biases and of the scales of norms (`jaxsd.adapters.kinds`).
"""

import math
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path, tree_map_with_path

from jaxsd.adapters.kinds import Factors, changed
from jaxsd.nn.int8 import Int8, to_int8, widened
from jaxsd.types import Array, Params

Lora = dict[str, Factors]
"""Path of a kernel -> its factors."""

ADAPTED = ("unet/", "text/")
"""Parts of a pipeline's tree that a LoRA can change; its files cannot hold changes of the VAE."""


def targets(params: Params, patterns: Sequence[str]) -> list[str]:
    r"""The paths of kernels in which any of the patterns is found, in the order of the tree.

    Args:
      params: a pipeline's tree of arrays or of their shapes.
      patterns: regular expressions, found anywhere in a path (`re.search`):
        `r"unet/.*attn\d/to_(q|k|v|out_0)/"`. Only kernels of dense layers (rank 2) and of
        convolutions (rank 4) of the U-Net and the text encoders can be adapted.

    Raises:
      ValueError: a pattern is not a regular expression, or is not found in any such path.
    """
    leaves = tree_flatten_with_path(params)[0]
    kernels = [path for path, leaf in map(_named, leaves) if _is_adaptable(path, leaf)]
    found: set[str] = set()
    for pattern in patterns:
        try:
            matching = [path for path in kernels if re.search(pattern, path)]
        except re.error as error:
            raise ValueError(f"target {pattern!r} is no regular expression: {error}") from error
        if not matching:
            raise ValueError(
                f"target {pattern!r} is found in none of the {len(kernels)} kernels of the model; "
                f"one of them is {kernels[0] if kernels else 'none'}"
            )
        found.update(matching)
    return [path for path in kernels if path in found]


def _named(entry: tuple[Any, Any]) -> tuple[str, Any]:
    path, leaf = entry
    return keystr(path, simple=True, separator="/"), leaf


def _is_adaptable(path: str, leaf: Array) -> bool:
    return path.startswith(ADAPTED) and path.endswith("/kernel") and leaf.ndim in (2, 4)


def initial_lora(
    params: Params, patterns: Sequence[str], *, rank: int, alpha: float, key: Array
) -> Lora:
    """A LoRA that changes nothing yet: `down` random, `up` zero (Hu et al. 2021, section 4.1).

    `down` is uniform in +-1/sqrt(in), h * w * in for a convolution: Kaiming's rule with a = sqrt(5)
    (He et al. 2015, equation 10), as in PEFT and kohya's sd-scripts. The factors are float32 for
    kernels of any dtype.

    Args:
      params: a pipeline's tree of arrays or of their shapes.
      patterns: which kernels, see `targets`.
      rank: columns of `down`, at least 1.
      alpha: the change is scaled by alpha / rank.
      key: folded with each path, so the other adapted kernels do not change a kernel's start.

    Raises:
      ValueError: a pattern that fits nothing, or a rank below 1.
    """
    if rank < 1:
        raise ValueError(f"LoRA rank {rank} is below 1")
    leaves = dict(map(_named, tree_flatten_with_path(params)[0]))
    return {
        path: _initial_factors(leaves[path].shape, rank, alpha, _own_key(key, path))
        for path in targets(params, patterns)
    }


def _own_key(key: Array, path: str) -> Array:
    return jax.random.fold_in(key, zlib.crc32(path.encode()))


def _initial_factors(shape: tuple[int, ...], rank: int, alpha: float, key: Array) -> Factors:
    *window, outputs = shape
    bound = math.prod(window) ** -0.5
    return {
        "down": jax.random.uniform(key, (*window, rank), jnp.float32, -bound, bound),
        "up": jnp.zeros((*(1 for _ in window[:-1]), rank, outputs), jnp.float32),
        "alpha": jnp.asarray(alpha, jnp.float32),
    }


def merged(params: Params, lora: Mapping[str, Factors], scale: float | Array = 1.0) -> Params:
    """The tree with W + scale * alpha / rank * change in place of each adapted kernel W.

    The sum is computed in float32 and cast to the dtype of W. Merge several LoRAs one by one:
    `merged(merged(params, first, 0.5), second)`.

    Args:
      params: a pipeline's tree, or the part of one that the LoRA adapts. Not changed.
      lora: paths of kernels -> factors.
      scale: of the whole LoRA; 0 gives the unchanged tree. May be traced.

    Raises:
      ValueError: the tree has no such kernel, or one of another shape.
    """
    missing = set(lora)

    def leaf(path: tuple[Any, ...], kernel: Array) -> Array:
        name = keystr(path, simple=True, separator="/")
        if name not in lora:
            return kernel
        missing.discard(name)
        try:
            return changed(kernel, lora[name], scale)
        except ValueError as error:
            raise ValueError(f"the LoRA of {name} {error}") from None

    tree = tree_map_with_path(leaf, params)
    if missing:
        raise ValueError(
            f"{len(missing)} kernels of the LoRA are not in the model, the first is {min(missing)}"
        )
    return tree


def merged_weights(params: Params, loras: Sequence[tuple[Lora, Mapping[str, float]]]) -> Params:
    """The tree with several LoRAs, for drawing: what is compiled depends on shapes alone.

    Each kernel is changed by a small program, which all kernels of its shape share, and which other
    strengths and other files of the same ranks use again. Changes are added in float32, one after
    the other, and cast once. Kernels keep dtype and place, so no network is compiled again; those
    that no LoRA changes are the same arrays. Shapes instead of arrays stay as they are.

    Args:
      params: a pipeline's tree of arrays. Not changed.
      loras: of the same model, each with its strength by part, "unet" and "text".
    """

    def leaf(path: tuple[Any, ...], kernel: Array) -> Array:
        first = kernel.values if isinstance(kernel, Int8) else kernel
        if not isinstance(first, jax.Array | np.ndarray):  # a shape, or what is in a file
            return kernel
        return merged_kernel(keystr(path, simple=True, separator="/"), kernel, loras)

    return tree_map_with_path(leaf, params, is_leaf=lambda one: isinstance(one, Int8))


def merged_kernel(
    name: str, kernel: Array | Int8, loras: Sequence[tuple[Lora, Mapping[str, float]]]
) -> Array | Int8:
    """A kernel, by its path, with what LoRAs change of it; others are the same arrays."""
    part = name.partition("/")[0]
    own = [(lora[name], strength[part]) for lora, strength in loras if name in lora]
    own = [(factors, np.float32(strength)) for factors, strength in own if strength]
    if not own:
        return kernel
    if isinstance(kernel, Int8):
        packed = to_int8(_whole(name, changed_by_all(kernel, own)))
        return jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), packed, kernel)
    return placed_as(changed_by_all(kernel, own), kernel)


def _whole(name: str, array: Array) -> np.ndarray:
    if not array.is_fully_addressable:
        raise ValueError(f"{name} lies on several hosts in 8 bits; take another dtype with LoRAs")
    return np.asarray(array)


def placed_as(array: Array, other: Array) -> Array:
    """The array on the devices where the other one lies, split in the same way."""
    return array if array.sharding == other.sharding else jax.device_put(array, other.sharding)


@jax.jit
def changed_by_all(kernel: Array | Int8, changes: list[tuple[Factors, Array]]) -> Array:
    """The kernel with several changes, each with its strength, added in float32 and cast once."""
    total = widened(kernel)
    for factors, scale in changes:
        total = changed(total, factors, scale)
    return total.astype(kernel.dtype)
