"""Texts for parts of a picture: each part's prediction weighs what its mask says, as in ComfyUI."""

from jaxsd.sampling.call import Branches, Networks
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array, Params


def hold(networks: Networks, params: Params, given: Array, beginning: Beginning) -> Array:
    """The shares of each branch but the negative prompt's, [B, K-1, h, w, 1]; they add up to 1."""
    return given


def combine(
    held: Array, branches: Branches, combined: Array, step: Step, memory: Memory
) -> tuple[Array, Memory]:
    """The sum of branches by their weights and their shares in each pixel."""
    outputs, weight = branches.outputs, step.columns["weight"]
    first = total = outputs[:, 0]
    for k in range(1, outputs.shape[1]):
        total = total + per_image(weight[:, k - 1], held[:, k - 1] * (outputs[:, k] - first))
    return total, memory


FEATURE = Feature(hold=hold, combine=combine)
