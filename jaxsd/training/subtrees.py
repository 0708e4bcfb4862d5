"""Which leaves of a parameter tree are trained: patterns over their paths."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from jaxsd.types import Array, Params

Leaves = dict[str, Array]
"""Path -> array; a flat piece of a tree."""


class Split(NamedTuple):
    """A tree in two pieces, and a function that joins them again."""

    trained: Leaves
    frozen: Leaves
    join: Callable[[Leaves, Leaves], Params]  # (trained, frozen) -> the whole tree


def split(params: Params, patterns: Sequence[str]) -> Split:
    """Splits a tree by regular expressions that match a whole path.

    Lists count as dicts with keys "0", "1", ...: the first text encoder's leaves are `text/0/...`.

    Raises:
      ValueError: a pattern that matches no path.
    """
    with_paths, structure = jax.tree_util.tree_flatten_with_path(params)
    leaves = {path_of(path): leaf for path, leaf in with_paths}
    for pattern in patterns:
        if not any(re.fullmatch(pattern, path) for path in leaves):
            raise ValueError(
                f"pattern {pattern!r} matches no parameter; paths look like {next(iter(leaves))}"
            )
    chosen = {path for path in leaves if any(re.fullmatch(p, path) for p in patterns)}

    def join(trained: Leaves, frozen: Leaves) -> Params:
        both = trained | frozen
        return jax.tree.unflatten(structure, [both[path] for path in leaves])

    trained = {path: leaf for path, leaf in leaves.items() if path in chosen}
    frozen = {path: leaf for path, leaf in leaves.items() if path not in chosen}
    return Split(trained, frozen, join)


def path_of(path: tuple[Any, ...]) -> str:
    """JAX's key path as `unet/conv_in/kernel`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")
