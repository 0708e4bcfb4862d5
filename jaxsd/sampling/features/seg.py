"""Smoothed energy guidance (Hong 2024): away from a branch whose queries are blurred.

The blur is infinite, as the paper proposes: all queries are their mean.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

from jaxsd.models.openings import Path, attention_by, is_self_attention_of_middle
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, of_last_branch
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Step
from jaxsd.types import Array, Params


def wrap(networks: Networks, params: Params, held: None, unet: UNetCall) -> UNetCall:
    """In the middle of the U-Net all pixels of the last branch have the same query.

    The column `seg` [B] says in which rows.
    """

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        rows = step.columns["seg"]
        last = of_last_branch(rows, len(call.x) // len(rows))
        with attention_by(partial(_attended, last)):
            return unet(call, step, memory)

    return changed


def _attended(
    last: Array, path: Path, attend: Callable[..., Array], q: Array, k: Array, v: Array
) -> Array:
    if is_self_attention_of_middle(path):
        q = jnp.where(last[:, None, None, None], q.mean(axis=1, keepdims=True), q)
    return attend(q, k, v)


FEATURE = Feature(wrap=wrap)
