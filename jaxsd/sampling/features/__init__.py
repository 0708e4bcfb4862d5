"""Optional parts of a drawing besides its texts: a table of features, one file each.

A feature is active if its name is among the columns of the rows, or in `Given.features`. Others are
not in the program: the structure of the arguments decides what is compiled.
"""

from collections.abc import Iterable
from functools import reduce

from jaxsd.sampling.call import Combine, Conditions, Networks, UNetCall, unet_call
from jaxsd.sampling.features import blend, channels, controlnet, ip_adapter, rescale, reuse
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.loop import Hook, Memory, Step
from jaxsd.types import Array, Params

FEATURES: dict[str, Feature] = {
    "ip_adapter": ip_adapter.FEATURE,
    "channels": channels.FEATURE,
    "controlnet": controlnet.FEATURE,
    "reuse": reuse.FEATURE,
    "rescale": rescale.FEATURE,
    "blend": blend.FEATURE,
}
"""Every feature, in the order in which they wrap the U-Net: the last is outermost."""

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
    """Names of the active features of a drawing, in the order of the table."""
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
    """Applies `combine` of each feature to the weighted sum of branches, in order."""
    combines = [combine for name in names if (combine := FEATURES[name].combine) is not None]

    def run(outputs: Array, total: Array, step: Step) -> Array:
        return reduce(lambda total, combine: combine(outputs, total, step), combines, total)

    return run


def on_sample(names: Iterable[str], conditions: Conditions) -> Hook:
    """Applies `on_sample` of each feature to each new sample, in order."""
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
