"""What a drawing may have beside its texts: a table of features, each a file.

A feature is there if its name is among the columns of the rows, or among what was given. What is
absent is not in the program: the structure of the arguments decides what is compiled.
"""

from collections.abc import Iterable
from functools import reduce

from jaxsd.sampling.call import Combine, Conditions, Networks, UNetCall, unet_call
from jaxsd.sampling.features import blend, channels, controlnet, rescale, reuse
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.loop import Hook, Memory, Step
from jaxsd.types import Array, Params

FEATURES: dict[str, Feature] = {
    "channels": channels.FEATURE,
    "controlnet": controlnet.FEATURE,
    "reuse": reuse.FEATURE,
    "rescale": rescale.FEATURE,
    "blend": blend.FEATURE,
}
"""Every feature, in the order in which they are put around the U-Net: the last is outermost."""

__all__ = [
    "FEATURES",
    "Beginning",
    "Feature",
    "combined",
    "on_sample",
    "present",
    "remembered",
    "wrapped",
]


def present(conditions: Conditions, step: Step) -> list[str]:
    """Names of the features of a drawing, in the order of the table."""
    there = conditions.held.keys() | step.columns.keys()
    return [name for name in FEATURES if name in there]


def wrapped(
    names: Iterable[str], networks: Networks, params: Params, conditions: Conditions
) -> UNetCall:
    """The U-Net with features around it."""
    unet = unet_call(networks, params)
    for name in names:
        if (wrap := FEATURES[name].wrap) is not None:
            unet = wrap(networks, params, conditions.held.get(name), unet)
    return unet


def combined(names: Iterable[str]) -> Combine:
    """What features make of the weighed sum of branches, one after the other."""
    combines = [combine for name in names if (combine := FEATURES[name].combine) is not None]

    def run(outputs: Array, total: Array, step: Step) -> Array:
        return reduce(lambda total, combine: combine(outputs, total, step), combines, total)

    return run


def on_sample(names: Iterable[str], conditions: Conditions) -> Hook:
    """What features make of each new sample, one after the other."""
    hooks = [
        hook(conditions.held[name])
        for name in names
        if (hook := FEATURES[name].on_sample) is not None
    ]
    return lambda z, step: reduce(lambda z, hook: hook(z, step), hooks, z)


def remembered(names: Iterable[str], networks: Networks, x: Array, branches: int) -> Memory:
    """The memory that a run begins with, for latents `x` [B, h, w, c]."""
    return {
        name: memory(networks, x, branches)
        for name in names
        if (memory := FEATURES[name].memory) is not None
    }
