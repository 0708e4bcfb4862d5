"""Motion modules and contexts: against AnimateDiff's equations written out, frame by frame."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from feature_cases import MOTION, MOTION_PARAMS, plain
from tiny_models import relative_error, uniform

from jaxsd.clips import contexts, halving
from jaxsd.models.motion import Motion, positions
from jaxsd.sampling.call import Answer, Call
from jaxsd.sampling.features.motion import Clip, divide
from jaxsd.sampling.loop import Step

FRAMES, BRANCHES, CHANNELS = 3, 2, 16
MODULE = MOTION_PARAMS["mid_block"]["motion_modules_0"]


def normed(x: np.ndarray, own: dict[str, np.ndarray], groups: int, epsilon: float) -> np.ndarray:
    """Over pixels and the channels of a group, of [P, c]."""
    grouped = x.reshape(len(x), groups, -1)
    mean, variance = grouped.mean((0, 2), keepdims=True), grouped.var((0, 2), keepdims=True)
    return ((grouped - mean) / np.sqrt(variance + epsilon)).reshape(x.shape) * own["scale"] + own[
        "bias"
    ]


def attended(x: np.ndarray, own: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
    """[F, c] of one pixel, head by head."""
    q, k, v = (
        np.split(x @ own[name]["kernel"], MOTION.heads, 1) for name in ("to_q", "to_k", "to_v")
    )
    heads = []
    for one, other, value in zip(q, k, v, strict=True):
        logits = one @ other.T / np.sqrt(one.shape[1])
        shares = np.exp(logits - logits.max(1, keepdims=True))
        heads.append(shares / shares.sum(1, keepdims=True) @ value)
    return np.concatenate(heads, 1) @ own["to_out_0"]["kernel"] + own["to_out_0"]["bias"]


def dense(x: np.ndarray, own: dict[str, np.ndarray]) -> np.ndarray:
    return x @ own["kernel"] + own["bias"]


def slow(x: np.ndarray) -> np.ndarray:
    """The module on frames [F, h, w, c] of one branch."""
    flat, own = x.astype(np.float64).reshape(FRAMES, -1, CHANNELS), MODULE
    h = np.stack([normed(one, own["norm"], MOTION.norm_groups, 1e-6) for one in flat])
    h = dense(h, own["proj_in"])
    block, made = own["transformer_blocks_0"], np.empty_like(h)
    for pixel in range(h.shape[1]):
        t = h[:, pixel]
        for i in (1, 2):
            each = np.stack([normed(row[None], block[f"norm{i}"], 1, 1e-5)[0] for row in t])
            t = t + attended(each + positions(FRAMES, CHANNELS), block[f"attn{i}"])
        each = np.stack([normed(row[None], block["norm3"], 1, 1e-5)[0] for row in t])
        value, gate = np.split(dense(each, block["ff"]["net_0"]["proj"]), 2, 1)
        erf = np.vectorize(math.erf)
        gelu = gate * (1 + erf(gate / np.sqrt(2))) / 2
        made[:, pixel] = t + dense(value * gelu, block["ff"]["net_2"])
    return x + dense(made, own["proj_out"]).reshape(x.shape)


def test_a_module_is_the_equations_of_the_paper() -> None:
    x = uniform("features", (FRAMES, BRANCHES, 2, 3, CHANNELS))
    got = jax.jit(Motion(MOTION).apply, static_argnums=2)(
        MODULE, x.reshape(-1, *x.shape[2:]), FRAMES
    )
    want = np.stack([slow(x[:, k]) for k in range(BRANCHES)], axis=1)
    assert relative_error(np.asarray(got).reshape(x.shape), want) < 1e-5


def test_positions_are_sines_and_cosines_by_turns() -> None:
    table = positions(4, 6)
    assert table[2].tolist() == pytest.approx(
        [f(2 * 10_000 ** (-i / 3)) for i in range(3) for f in (np.sin, np.cos)]
    )


def test_contexts_are_averaged_by_their_weights() -> None:
    """Of a network that answers by what it was given: frames, branches, and their places."""
    frames, length, branches, padded = 5, 3, 2, 6
    x = uniform("latents", (padded * branches, 1, 1, 1))
    step = Step(row=plain(padded).runs[0].row, columns={})
    step = jax.tree.map(lambda a: a[0], step)
    firsts = np.tile(np.int32([0, 2, 4, -1]), (padded, 1))
    step = step._replace(columns={"motion": firsts})
    weights = np.float32([1, 2, 1])
    clip = Clip(np.full(padded, frames), np.tile(weights, (padded, 1)))

    def unet_of(held: dict[str, Any]) -> Any:
        def unet(call: Call, step: Step, memory: dict[str, Any]) -> Any:
            place = np.float32(np.arange(length).repeat(branches) + 1)
            own = held["seed"].repeat(branches)
            return Answer(
                call.x * place.reshape(-1, 1, 1, 1) + own.reshape(-1, 1, 1, 1), call.x
            ), {}

        return unet

    held = {"seed": np.arange(padded, dtype=np.float32) * 10}
    held, call, step = jax.tree.map(jnp.asarray, (held, Call(x, *[None] * 5), step))
    got, _ = divide(unet_of, held, clip)(call, step, {})
    own, total = x.reshape(padded, branches), np.zeros((padded, branches))
    shares = np.zeros(padded)
    for first in (0, 2, 4):
        for place in range(length):
            frame = (first + place) % frames
            total[frame] += weights[place] * (own[frame] * (place + 1) + 10 * frame)
            shares[frame] += weights[place]
    want = total[:frames] / shares[:frames, None]
    found = np.asarray(got.output).reshape(padded, branches)
    np.testing.assert_allclose(found[:frames], want, rtol=1e-5)
    assert (found[frames:] == 0).all(), "padding is in no context"


UNIFORM = {
    (20, 0, False): [0, 4],
    (20, 1, False): [4, 0, 2],
    (20, 5, False): [4, 0],
    (40, 0, False): [0, 12, 24],
    (40, 1, False): [20, 24, 0, 4],
    (40, 2, False): [10, 22, 24, 0],
    (40, 0, True): [0, 12, 24, 36],
    (40, 3, True): [30, 2, 14, 26],
    (12, 7, False): [0],
}
"""(frames, row, loops) -> first frames of contexts of ComfyUI-AnimateDiff-Evolved, 16 long with an
overlap of 4, stride 1."""


@pytest.mark.parametrize(("frames", "row", "loops"), UNIFORM)
def test_contexts_are_those_of_evolved(frames: int, row: int, loops: bool) -> None:
    assert contexts(row, frames, 16, 4, loops=loops) == UNIFORM[frames, row, loops]


def test_every_frame_is_in_a_context() -> None:
    for frames in range(1, 60):
        for row in range(9):
            for length, over in ((16, 4), (8, 0), (16, 15)):
                for loops in (False, True):
                    firsts = contexts(row, frames, length, over, loops=loops)
                    size = min(length, frames)
                    seen = {(first + i) % frames for first in firsts for i in range(size)}
                    assert len(seen) == frames
                    assert loops or max(firsts) + size <= frames


def test_halving_turns_bits_around() -> None:
    assert [halving(row) for row in range(6)] == [0, 0.5, 0.25, 0.75, 0.125, 0.625]
