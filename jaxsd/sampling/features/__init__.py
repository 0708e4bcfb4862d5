"""Optional parts of a drawing besides its texts: a table of features, one file each.

A feature is active if its name is among the columns of the rows, or in `Given.features`. Others are
not in the program: the structure of the arguments decides what is compiled.
"""

from collections.abc import Iterable
from functools import partial, reduce
from typing import Any

from jaxsd.sampling.call import Branches, Combine, Conditions, Networks, UNetCall, unet_call
from jaxsd.sampling.features import (
    apg,
    areas,
    blend,
    cfg_zero,
    channels,
    control_mode,
    controlnet,
    freeu,
    gligen,
    hypernet,
    ip_adapter,
    mimic,
    momentum,
    motion,
    noise_mask,
    pag,
    reference,
    region,
    rescale,
    reuse,
    sag,
    seg,
    sight,
    threshold,
    windows,
)
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.loop import Hook, Memory, Network, Step
from jaxsd.types import Array, Params

FEATURES: dict[str, Feature] = {
    "motion": motion.FEATURE,
    "hypernet": hypernet.FEATURE,
    "gligen": gligen.FEATURE,
    "ip_adapter": ip_adapter.FEATURE,
    "pag": pag.FEATURE,
    "seg": seg.FEATURE,
    "freeu": freeu.FEATURE,
    "channels": channels.FEATURE,
    "reference": reference.FEATURE,
    "control_mode": control_mode.FEATURE,
    "controlnet": controlnet.FEATURE,
    "windows": windows.FEATURE,
    "sag": sag.FEATURE,
    "reuse": reuse.FEATURE,
    "region": region.FEATURE,
    "areas": areas.FEATURE,
    "sight": sight.FEATURE,
    "momentum": momentum.FEATURE,
    "apg": apg.FEATURE,
    "cfg_zero": cfg_zero.FEATURE,
    "mimic": mimic.FEATURE,
    "rescale": rescale.FEATURE,
    "threshold": threshold.FEATURE,
    "blend": blend.FEATURE,
    "noise_mask": noise_mask.FEATURE,
}
"""Every feature, in the order in which they wrap the U-Net: the last is outermost.

Those that intercept parts of the U-Net come first, so that a ControlNet keeps its own. All that see
a place of the picture are inside of `windows`, so that each window has its own part of it.
"""

__all__ = [
    "FEATURES",
    "Beginning",
    "Feature",
    "around",
    "combined",
    "decided",
    "on_sample",
    "on_x0",
    "present",
    "remembered",
    "wrapped",
]


def present(conditions: Conditions, step: Step) -> list[str]:
    """Names of the active features of a drawing, in the order of the table."""
    there = conditions.held.keys() | step.columns.keys()
    return [name for name in FEATURES if name in there]


def decided(step: Step) -> tuple[bool, ...]:
    """What columns say for all images of a call; host only. Rows that share one must agree."""
    names = [name for name in step.columns if name in FEATURES and FEATURES[name].of_batch]
    return tuple(bool(step.columns[name].any()) for name in sorted(names))


def wrapped(
    names: Iterable[str], networks: Networks, params: Params, conditions: Conditions
) -> UNetCall:
    """The U-Net with features around it."""

    def unet_of(held: dict[str, Any]) -> UNetCall:
        unet = unet_call(networks, params)
        for name in names:
            if (wrap := FEATURES[name].wrap) is not None:
                unet = wrap(networks, params, held.get(name), unet)
        return unet

    held = conditions.held
    dividing = next((name for name in names if FEATURES[name].divide is not None), None)
    if dividing is None:
        return unet_of(held)
    return FEATURES[dividing].divide(unet_of, held, held[dividing])


def combined(names: Iterable[str], conditions: Conditions) -> Combine:
    """Applies `combine` of each feature to the weighted sum of branches, in order."""
    combines = [
        partial(combine, conditions.held.get(name))
        for name in names
        if (combine := FEATURES[name].combine) is not None
    ]

    def run(branches: Branches, total: Array, step: Step, memory: Memory) -> tuple[Array, Memory]:
        for combine in combines:
            total, memory = combine(branches, total, step, memory)
        return total, memory

    return run


def around(names: Iterable[str], conditions: Conditions, network: Network) -> Network:
    """The network of the loop with features around it, in order."""
    for name in names:
        if (wrap := FEATURES[name].around) is not None:
            network = wrap(conditions.held[name], network)
    return network


def on_x0(names: Iterable[str]) -> Hook:
    """Applies `on_x0` of each feature to each estimate of x0, in order."""
    hooks = [hook for name in names if (hook := FEATURES[name].on_x0) is not None]
    return lambda x0, step: reduce(lambda x0, hook: hook(x0, step), hooks, x0)


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
