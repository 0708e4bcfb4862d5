"""Inception's table and the run through it, against loops in plain NumPy."""

from typing import Any

import jax
import numpy as np
import pytest

from jaxsd.inception import (
    FEATURES,
    INCEPTION,
    Block,
    Convolution,
    Pool,
    Steps,
    channels_out,
    convolutions,
)
from jaxsd.models import Inception

TINY: Steps = (
    Convolution("first", 4, (3, 3), 2, "VALID"),
    Convolution("wide", 5, (1, 7)),
    Block(
        "mixed",
        (
            (Convolution("one", 3),),
            (Pool("average"), Convolution("pooled", 2)),
            (
                Pool("max"),
                Block("", ((Convolution("row", 2, (1, 3)),), (Convolution("column", 1, (3, 1)),))),
            ),
        ),
    ),
    Block("half", ((Pool("max", 2),), (Convolution("shrunk", 2, (3, 3), 2, "VALID"),))),
)


def params_of(steps: Steps) -> dict[str, Any]:
    rng, tree = np.random.default_rng(0), {}
    for path, channels, one in convolutions(steps):
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        shape = (*one.kernel, channels, one.channels)
        kernel = rng.normal(size=shape) / np.prod(shape[:3]) ** 0.5
        node[name] = {"kernel": kernel, "bias": rng.normal(size=one.channels)}
    return jax.tree.map(lambda leaf: leaf.astype(np.float32), tree)


def windows(x: np.ndarray, kernel: tuple[int, int], stride: int, padded: bool, outside: float):
    """[h, w, c] -> [h', w', kh, kw, c]."""
    if padded:
        (above, _), (left, _) = ((side // 2, side // 2) for side in kernel)
        x = np.pad(x, ((above, above), (left, left), (0, 0)), constant_values=outside)
    found = np.lib.stride_tricks.sliding_window_view(x, kernel, (0, 1))
    return np.moveaxis(found, 2, -1)[::stride, ::stride]


def slow(steps: Steps, x: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    for step in steps:
        if isinstance(step, Convolution):
            own = params[step.name]
            seen = windows(x, step.kernel, step.stride, step.padding == "SAME", 0)
            x = np.einsum("hwabc,abco->hwo", seen, own["kernel"]) + own["bias"]
            x = np.maximum(x, 0)
        elif isinstance(step, Pool):
            seen = windows(x, (3, 3), step.stride, step.stride == 1, np.nan)
            x = {"max": np.nanmax, "average": np.nanmean}[step.function](seen, axis=(2, 3))
        else:
            inside = params[step.name] if step.name else params
            x = np.concatenate([slow(branch, x, inside) for branch in step.branches], -1)
    return x


@pytest.mark.parametrize("side", [17, 20])
def test_a_small_table_is_what_loops_give(side: int) -> None:
    params = params_of(TINY)
    images = np.random.default_rng(1).uniform(-1, 1, (2, side, side, 3)).astype(np.float32)
    got = jax.jit(Inception(TINY).apply)({"params": params}, images)
    want = [slow(TINY, image.astype(float), params).mean((0, 1)) for image in images]
    assert got.shape == (2, channels_out(TINY, 3)) == (2, 10)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)  # float32


def test_the_table_is_inception_v3() -> None:
    """Parameters as published for the network without its classifiers (Szegedy et al. 2016)."""
    shapes = [(*one.kernel, i, one.channels) for _, i, one in convolutions(INCEPTION)]
    assert len(shapes) == 94
    assert sum(np.prod(shape) + 2 * shape[-1] for shape in shapes) == 21_785_568
    assert channels_out(INCEPTION, 3) == FEATURES
    names = {path.split("/")[0] for path, _, _ in convolutions(INCEPTION)}
    levels = {"5": "bcd", "6": "abcde", "7": "abc"}
    assert {f"Mixed_{n}{letter}" for n, letters in levels.items() for letter in letters} < names
