"""The loop that runs a sampler's table over a network."""

from jaxsd.sampling.loop import (
    Network,
    State,
    advance,
    advance_recalling,
    begin,
    first_non_finite,
    rows,
    sample,
)

__all__ = [
    "Network",
    "State",
    "advance",
    "advance_recalling",
    "begin",
    "first_non_finite",
    "rows",
    "sample",
]
