"""Texts for areas and masks as in ComfyUI: each side's branches are a mean by their masks.

A branch of an area sees that part of the latents alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsd.sampling.call import Answer, Branches, Call, Networks, UNetCall
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.features.sides import Formula, Sides
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array, Params


class Area(NamedTuple):
    """A part of the latents; its size is that of an array, since it decides what is compiled."""

    first: Array  # [B, 2] int32, its first row and column, the same of all images
    like: Array  # [B, height, width]


class Areas(NamedTuple):
    """The given arrays, and what the feature holds."""

    mask: Array  # [B, K, h, w, 1] float32, how much a branch counts; 0 outside of its area
    area: tuple[Area | None, ...]  # of the K branches; None for everywhere
    formula: Formula | None = None  # makes x0 of those of the sides; None for their weighted sum


def hold(networks: Networks, params: Params, given: Areas, beginning: Beginning) -> Areas:
    """The masks and areas."""
    return given


def wrap(networks: Networks, params: Params, held: Areas, unet: UNetCall) -> UNetCall:
    """Calls the U-Net for all branches that see everything, and for each area."""
    everywhere = [k for k, area in enumerate(held.area) if area is None]

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        batch, count = len(step.row.number), len(held.area)
        rows = jax.tree.map(lambda a: a.reshape(batch, count, *a.shape[1:]), call)
        outputs = jnp.zeros_like(rows.x)
        if everywhere:
            answer, memory = unet(_branches(rows, everywhere), _seen(step, everywhere), memory)
            own = answer.output.reshape(batch, len(everywhere), *call.x.shape[1:])
            outputs = outputs.at[:, jnp.array(everywhere)].set(own)
        for k, area in enumerate(held.area):
            if area is None:
                continue
            own = _branches(rows, [k])
            place = (0, *area.first[0], 0)
            x = jax.lax.dynamic_slice(own.x, place, (batch, *area.like.shape[1:], own.x.shape[-1]))
            answer, memory = unet(own._replace(x=x), _seen(step, [k]), memory)
            whole = jax.lax.dynamic_update_slice(jnp.zeros_like(own.x), answer.output, place)
            outputs = outputs.at[:, k].set(whole)
        return Answer(outputs.reshape(call.x.shape), None), memory

    return changed


def _branches(rows: Call, numbers: list[int]) -> Call:
    """A call of some branches, of one whose leaves are [B, K, ...]."""
    return jax.tree.map(lambda a: a[:, jnp.array(numbers)].reshape(-1, *a.shape[2:]), rows)


def _seen(step: Step, numbers: list[int]) -> Step:
    """The step of some branches: features ask which texts a call sees."""
    which = step.columns["which"][:, jnp.array(numbers)]
    return step._replace(columns=step.columns | {"which": which})


def combine(
    held: Areas, branches: Branches, combined: Array, step: Step, memory: Memory
) -> tuple[Array, Memory]:
    """The sum over both sides of weight times the mean of x0 by masks; 0 where no branch counts.

    The column `areas` [B, K, S] has the weight of a branch's side, in the place of that side; 0 in
    rows where the branch does not count. A formula takes weights of 1, and its own numbers; sides
    are the negative, the positive and an empty one.
    """
    weight = step.columns["areas"][:, :, None, None, None]  # [B, K, 1, 1, 1, S]
    counts = held.mask[..., None] * (weight != 0)
    share = counts / jnp.maximum(counts.sum(axis=1, keepdims=True), 1e-30)
    row, own = step.row, step.row.c_skip / (step.row.c_in * step.row.c_out)
    if held.formula is None:
        share = (weight * share).sum(axis=-1)
        rest = per_image(own, (share.sum(axis=1) - 1) * branches.x)
        return (share * branches.outputs).sum(axis=1) + rest, memory
    outputs = (share * branches.outputs[..., None]).sum(axis=1)  # [B, h, w, c, S]
    noised = per_image(row.c_skip / row.c_in, branches.x)
    x0 = share.sum(axis=1) * noised[..., None] + per_image(row.c_out, outputs)
    x = per_image(1 / (row.c_in * row.level[:, 0]), branches.x)
    guided, before = held.formula.x0(Sides(x, *jnp.moveaxis(x0, -1, 0)), memory["areas"])
    return per_image(1 / row.c_out, guided - noised), memory | {"areas": before}


def memory(networks: Networks, latents: Array, branches: int) -> Array:
    """Zeros like the latents [B, h, w, c]: no guidance before the first row."""
    return jnp.zeros_like(latents)


FEATURE = Feature(hold=hold, wrap=wrap, combine=combine, memory=memory)
