"""A feature: functions around the loop and the U-Net, all of them optional."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxsd.sampling.call import Branches, Networks, UNetCall
from jaxsd.sampling.loop import Hook, Memory, Network, Step
from jaxsd.types import Array, Params


class Beginning(NamedTuple):
    """What the loop begins with, for features that need it."""

    noise: Array  # [B, h, w, c] float32, unit variance
    keys: Array  # [B] typed keys of the images
    source: Array | None  # [B, h, w, c] float32, scaled latents of the pictures to begin from
    draws: dict[int, Array] | None  # as in `Given`


Held = dict[str, Any]
"""Results of `Feature.hold`, by the names of features."""


class Feature(NamedTuple):
    """Functions of one feature; arrays are [B, ...], a device's own images on a mesh.

    Attributes:
      hold: (networks, params, given, beginning) -> what the feature holds; once, before the loop.
      wrap: (networks, params, held, unet) -> the U-Net with the feature around it.
      divide: (what features hold -> the U-Net with them, what they hold, own) -> a U-Net that runs
        parts of the batch in turn; of one feature at most.
      combine: (held, branches, combined, step, memory) -> (combined, memory); changes the weighted
        sum of branches.
      around: (held, network) -> the network of the loop, guided, with the feature around it.
      on_x0: a hook on each estimate of x0.
      on_sample: held -> a hook on each new sample.
      memory: (networks, latents, branches) -> the feature's memory at the start of a run of rows.
      of_batch: whether its column, true for one image, holds for all of a call.
    """

    hold: Callable[[Networks, Params, Any, Beginning], Any] | None = None
    wrap: Callable[[Networks, Params, Any, UNetCall], UNetCall] | None = None
    divide: (
        Callable[[Callable[[dict[str, Any]], UNetCall], dict[str, Any], Any], UNetCall] | None
    ) = None
    combine: Callable[[Any, Branches, Array, Step, Memory], tuple[Array, Memory]] | None = None
    around: Callable[[Any, Network], Network] | None = None
    on_x0: Hook | None = None
    on_sample: Callable[[Any], Hook] | None = None
    memory: Callable[[Networks, Array, int], Any] | None = None
    of_batch: bool = False
