"""How many pictures share a call, by what calls of several sizes cost here.

On a processor a call of twice as many pictures takes about twice as long: then one picture at a
time is drawn as fast, and each is done sooner. On an accelerator it takes hardly longer, up to some
size. `tools/simulate_serving.py` shows what comes of it.
"""

import time
from collections.abc import Callable

import numpy as np

from jaxsd.pipeline import Pipeline
from jaxsd.settings import Settings, checked

SIZES = (1, 2, 4, 8)
LEAST_GAIN = 1.1
"""By which a larger call must draw more pictures a second, to be worth that each waits longer."""


def places_by(cost: Callable[[int], float]) -> int:
    """The number of places: it doubles as long as that is worth it.

    Args:
      cost: seconds of a call of so many pictures.
    """
    best, each = SIZES[0], cost(SIZES[0]) / SIZES[0]
    for size in SIZES[1:]:
        found = cost(size) / size
        if found * LEAST_GAIN > each:
            return best
        best, each = size, found
    return best


def call_cost(pipe: Pipeline, size: int, calls: int = 3) -> float:
    """Seconds of a call of so many pictures of the model's own size, the least of a few."""
    order = pipe.order([checked(Settings(steps=calls + 1), pipe.spec)], batch=1)
    slots, seconds = pipe.slots(order, size), []
    slots.join(order)
    for _ in range(calls + 1):  # the first one compiles
        began = time.perf_counter()
        np.asarray(slots.tick().finite)
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
