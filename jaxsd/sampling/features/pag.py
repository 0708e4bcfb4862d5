"""Perturbed attention guidance (Ahn et al. 2024): away from a branch without self-attention."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

from jaxsd.models.openings import Path, attention_by, is_self_attention_of_middle
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, of_last_branch
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Step
from jaxsd.types import Array, Params


def wrap(networks: Networks, params: Params, held: None, unet: UNetCall) -> UNetCall:
    """In the middle of the U-Net each pixel of the last branch attends to itself alone.

    The column `pag` [B] says in which rows.
    """

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        rows = step.columns["pag"]
        last = of_last_branch(rows, len(call.x) // len(rows))
        with attention_by(partial(_attended, last)):
            return unet(call, step, memory)

    return changed


def _attended(
    last: Array, path: Path, attend: Callable[..., Array], q: Array, k: Array, v: Array
) -> Array:
    out = attend(q, k, v)
    if not is_self_attention_of_middle(path):
        return out
    return jnp.where(last[:, None, None, None], v, out)


FEATURE = Feature(wrap=wrap)
