"""AnimateDiff (Guo et al. 2023): the images of a call are the frames of a clip.

Modules over the frames stand inside of the U-Net. Clips longer than those that they were trained on
are drawn in contexts, which are parts of the clip that overlap: in each row the U-Net's outputs for
all contexts are averaged, as those for windows are (`windows`), and contexts move from row to row.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsd.config import motion_places
from jaxsd.models.openings import Path, outputs_by
from jaxsd.parallel import gather
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall
from jaxsd.sampling.features.feature import Beginning, Feature, Held
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array, Params


class Clip(NamedTuple):
    """A clip, the same for all images of a device."""

    frames: Array  # [B] int32, how many it has; images behind them are padding
    weights: Array  # [B, L] float32, of the frames of a context


def hold(networks: Networks, params: Params, given: Clip, beginning: Beginning) -> Clip:
    """The clip."""
    return given


def wrap(networks: Networks, params: Params, held: Clip, unet: UNetCall) -> UNetCall:
    """The U-Net with a motion module behind each of its resnets and transformers."""
    tree = gather(params["motion"], "motion", networks.mesh)
    modules = {
        place.after: tree[block][name]
        for place in motion_places(networks.unet.config)
        for block, name in [place.name.split("/")]
        if block in tree
    }

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        frames = len(step.row.number)

        def moved(path: Path, out: Any) -> Any:
            own = modules.get("/".join(path))
            return out if own is None else networks.motion.apply(own, out, frames)

        with outputs_by(moved):
            return unet(call, step, memory)

    return changed


def divide(unet_of: Callable[[Held], UNetCall], held: Held, own: Clip) -> UNetCall:
    """The weighted mean of what the U-Net answers for each context, which are run in turn.

    The column `motion` [B, W] has the first frame of each context, or -1 where there are fewer.
    Beyond the last frame a context goes on with the first.
    """
    frames, weights = own.frames[0], own.weights[0]

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        count = len(step.row.number)
        branches = len(call.x) // count

        def add(sums: tuple[Array, Array], first: Array) -> tuple[Array, Array]:
            numbers = (first + jnp.arange(len(weights))) % frames
            rows = (numbers[:, None] * branches + jnp.arange(branches)[None]).reshape(-1)
            chosen = partial(jax.tree.map, lambda a: a[numbers])
            part = jax.tree.map(lambda a: a[rows], call)
            answer, _ = unet_of(chosen(held))(part, chosen(step), {})
            weighted = per_image(jnp.repeat(weights, branches), answer.output)
            return sums[0].at[rows].add(weighted), sums[1].at[numbers].add(weights)

        def add_one(sums: tuple[Array, Array], first: Array) -> tuple[tuple[Array, Array], None]:
            return jax.lax.cond(first < 0, lambda: sums, lambda: add(sums, first)), None

        sums = jnp.zeros(call.x.shape, jnp.float32), jnp.zeros(count, jnp.float32)
        (total, shares), _ = jax.lax.scan(add_one, sums, step.columns["motion"][0])
        mean = per_image(1 / jnp.repeat(jnp.maximum(shares, 1e-6), branches), total)
        return Answer(mean, mean[..., :0]), memory  # deep features are those of contexts

    return changed


FEATURE = Feature(hold=hold, wrap=wrap, divide=divide)
