"""How a value goes from one key frame to the next, by name."""

import math
from collections.abc import Callable

EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda s: s,
    "ease_in": lambda s: s**3,
    "ease_out": lambda s: 1 - (1 - s) ** 3,
    "ease_in_out": lambda s: s * s * (3 - 2 * s),
    "sine": lambda s: (1 - math.cos(math.pi * s)) / 2,
    "hold": lambda s: float(s >= 1),
}
"""Name -> share of the time, 0 to 1, to share of the way: 0 to 0, 1 to 1, never back."""
