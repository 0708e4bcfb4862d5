"""One product of an input with the kernels of many layers, for GPUs.

At one image a step's small products take less time than their launches. XLA has a pass that joins
products, but it copies their kernels in each step. Here they are copied once, before the loop, into
a collection of the network's variables.
"""

import re
from collections import defaultdict
from itertools import accumulate
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxsd.nn.dense import dense
from jaxsd.nn.int8 import Int8
from jaxsd.nn.processor import platform_traced_for
from jaxsd.types import Array, Params

JOINED = "joined"
"""The collection that `joined` makes: pattern of paths -> [d, all widths]."""
OWN = "own"
"""Name of joined kernels there that are a module's own, at the path of the module."""
COPIED = 2**27
"""Bytes of kernels that are copied at most for a pattern. SD 1.5's for keys and values of the text
have 38 MB, those for the time 52 MB, those of self-attention 74 MB; XL's for the text 0.68 GB.
"""
FEW = 512
"""Tokens, all images together, up to which a module's own layers are one product. It is then cut by
a kernel that reads and writes it. For more tokens that is more than what one product saves.
"""


class Shared(NamedTuple):
    """An input of many layers, and what some of them give for it."""

    input: Array | None  # [B, ..., d]; None if all is made
    made: dict[str, Array]  # path of a layer -> [B, ..., width]


def joined(params: Params, patterns: tuple[str, ...], dtype: jnp.dtype) -> dict[str, Any]:
    """The collection `JOINED`, or nothing where it does not help.

    It helps on GPUs in bfloat16, for layers whose kernels have `COPIED` bytes at most.

    Args:
      params: of a network.
      patterns: of the paths of dense layers that have their input in common. With a group in it, as
        "(.*/attn1)/to_[qkv]", those have it for which the group is the same, the path of a module.
      dtype: to compute in.
    """
    if dtype != jnp.bfloat16 or platform_traced_for() != "cuda":
        return {}
    flat = {}
    for pattern in patterns:
        kernels = _kernels(params, pattern)
        if any(isinstance(one, Int8) or one.dtype != dtype for one in kernels.values()):
            continue
        if sum(one.nbytes for one in kernels.values()) > COPIED:
            continue
        modules = defaultdict(list)
        for path, kernel in kernels.items():
            module = re.fullmatch(pattern, path).groups()
            modules[(*module[0].split("/"), OWN) if module else (pattern,)].append(kernel)
        flat |= {
            module: jnp.concatenate(own, axis=1)
            for module, own in modules.items()
            if len({one.shape[0] for one in own}) == 1  # not where `attn1` sees the text
        }
    return {JOINED: unflatten_dict(flat)} if flat else {}


def own_products(module: nn.Module, x: Array, names: tuple[str, ...]) -> Array | Shared:
    """`x` with what a module's own dense layers without bias give for it, if they are joined.

    Args:
      module: it calls this, and has the layers.
      x: [B, L, d], with `FEW` tokens at most.
      names: of the layers, in order of the alphabet.
    """
    if not module.has_variable(JOINED, OWN) or x.shape[0] * x.shape[1] > FEW:
        return x
    parts = jnp.split(jnp.matmul(x, module.get_variable(JOINED, OWN)), len(names), axis=-1)
    return Shared(
        x, {"/".join((*module.path, name)): part for name, part in zip(names, parts, strict=True)}
    )


def shared(network: nn.Module, x: Array, pattern: str) -> Array | Shared:
    """`x` with what its dense layers give for it, if their kernels are joined.

    Args:
      network: it calls this, and has the layers.
      x: [B, ..., d].
      pattern: of the layers' paths.
    """
    if not network.has_variable(JOINED, pattern):
        return x
    params = network.variables["params"]
    kernels = _kernels(params, pattern)
    ends = list(accumulate(kernel.shape[1] for kernel in kernels.values()))
    whole = network.get_variable(JOINED, pattern)
    parts = jnp.split(jnp.matmul(x, whole), ends[:-1], axis=-1)
    flat, made = flatten_dict(params, sep="/"), {}
    for path, part in zip(kernels, parts, strict=True):
        made[path] = part
        if (bias := flat.get(f"{path}/bias")) is not None:
            made[path] += jnp.expand_dims(bias.astype(x.dtype), range(x.ndim - 1))
    return Shared(x, made)


def projected(
    x: Array | Shared,
    path: tuple[str, ...],
    width: int,
    dtype: jnp.dtype,
    *,
    use_bias: bool = True,
) -> Array:
    """What the dense layer with this path gives for `x`; it belongs to the module that calls."""
    if isinstance(x, Shared):
        if (made := x.made.get("/".join(path))) is not None:
            return made
        x = x.input
    return dense(width, path[-1], dtype, use_bias=use_bias)(x)


def one_by_one(params: Params, x: Array, pattern: str, dtype: jnp.dtype) -> dict[str, Array]:
    """What the dense layers of a pattern, which have biases, give for `x`, by their paths.

    Args:
      params: of a network.
      x: [..., d].
      pattern: of the layers' paths.
      dtype: to compute in.
    """
    flat = flatten_dict(params, sep="/")
    return {
        path: dense(kernel.shape[1], None, dtype).apply(
            {"params": {"kernel": kernel, "bias": flat[f"{path}/bias"]}}, x
        )
        for path, kernel in _kernels(params, pattern).items()
    }


def _kernels(params: Params, pattern: str) -> dict[str, Array]:
    """Path of a layer -> its kernel [d, width], of all layers of a pattern, in order of paths."""
    return {
        path.removesuffix("/kernel"): kernel
        for path, kernel in sorted(flatten_dict(params, sep="/").items())
        if re.fullmatch(f"{pattern}/kernel", path)
    }
